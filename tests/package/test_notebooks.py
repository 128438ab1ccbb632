"""The quickstart: executed in a real kernel, its answers checked against pandas and `re` here."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from notebook_proofs import proofs, prove_runs

RUNS = 5
"""At least so many are asked."""
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

TELL = """
import json
print("TOLD", json.dumps({
    "findings": {k: v for k, v in findings.items() if k != "table"},
    "table": len(findings["table"]),
    "classes": {k: v for k, v in classes.items() if k != "table"},
    "matches": classes["table"].to_dict(),
    "opinion": opinion["answer"],
    "quarter": [len(quarter), float(quarter["refunded"].sum())],
    "country": run.value["country"],
    "lowest": lowest.value["country"],
    "agents": [len(run.agents), len(few.agents)],
}))
"""


def _load():
    spec = importlib.util.spec_from_file_location("run_quickstart", NOTEBOOKS / "run_quickstart.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


quickstart = _load()


def _copy(path, cells):
    book = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(book, path)
    return path


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The executed quickstart, the directory of its logs, and what it told of its variables."""
    directory = tmp_path_factory.mktemp("quickstart")
    cells = nbformat.read(quickstart.NOTEBOOK, as_version=4).cells
    path = _copy(directory / "copy.ipynb", [*cells, nbformat.v4.new_code_cell(TELL)])
    prove_runs(directory)
    book = quickstart.execute(path, directory)
    text = book.cells[-1].outputs[0].text
    return book, directory, json.loads(text.partition("TOLD ")[2])


@pytest.fixture(scope="module")
def own():
    """The notebook's data, made here by its own cells."""
    space = {}
    for cell in nbformat.read(quickstart.NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code" and re.search(r"^(orders|corpus) = ", cell.source, re.MULTILINE):
            exec(cell.source, space)
    return space


def test_the_found_supplier_and_date_are_those_that_pandas_finds(executed, own):
    orders, told = own["orders"], executed[2]["findings"]
    assert len(orders) >= 1_000_000
    refunds = pd.crosstab(orders.date[orders.refunded], orders.supplier[orders.refunded])
    rise = refunds[refunds.index >= "2025-09-08"].mean() - refunds[refunds.index < "2025-09-08"].mean()
    assert told["supplier"] == rise.idxmax() == "Kestrel"
    assert told["since"] == "2025-09-08"
    before = refunds.loc[refunds.index < "2025-09-08", "Kestrel"].mean()
    assert told["before"] == pytest.approx(before, abs=0.01)
    assert told["after"] - told["before"] == pytest.approx(rise["Kestrel"], abs=0.02)
    assert executed[2]["table"] == orders.supplier.nunique()


def test_the_counted_classes_are_those_that_re_counts(executed, own):
    counts = {
        name: len(re.findall(r"^\s*class\s+\w+", text, re.MULTILINE)) for name, text in own["corpus"].items()
    }
    told = executed[2]["classes"]
    assert sum(counts.values()) > 1000
    assert executed[2]["matches"] == counts
    assert (told["total"], told["most_matches"]) == (sum(counts.values()), max(counts.values()))
    assert counts[told["most"]] == max(counts.values())


def test_the_other_answers_hold_too(executed, own):
    told, orders = executed[2], own["orders"]
    assert "outside of what the scripted demo can do" in told["opinion"]
    assert told["country"] == orders.groupby("country").price.mean().idxmax()
    assert told["lowest"] == orders.groupby("country").price.mean().idxmin()
    assert told["agents"] == [13, 1]
    rows, held = told["quarter"]
    assert held == orders.refunded[250_000:500_000].sum()
    assert rows <= orders.supplier.nunique() * 365


def test_each_run_has_a_tree_an_answer_and_says_that_it_is_scripted(executed, capsys):
    book, directory, _ = executed
    assert quickstart.report(book, directory) == 3
    shown = capsys.readouterr().out
    assert shown.count("RLM run ") == shown.count("Answer: ") == shown.count("no language model") == 3
    assert "Answer: Kestrel has the clearest rise of refunded" in shown
    assert "0.4.2 done" in shown


def test_the_committed_notebook_carries_its_outputs_and_nothing_that_needs_a_kernel():
    book = nbformat.read(quickstart.NOTEBOOK, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    kinds = {kind for output in outputs for kind in output.get("data", ())}
    assert kinds == {"text/plain", "text/html"}
    assert "error" not in {output.output_type for output in outputs}
    assert "widgets" not in book.metadata
    raw = quickstart.NOTEBOOK.read_text("utf-8")
    assert len(raw) < 300_000
    assert not re.search(r"/tmp/|/home/|/root/", raw)


ASK = ["%load_ext rlm_jupyter", "%%rlm -m demo -o found\nWhat is it?", 'print(found["answer"])']


def test_the_command_prints_and_leaves_its_notebook_as_it_was(tmp_path, monkeypatch, capfd):
    cells = [nbformat.v4.new_code_cell(source) for source in ASK]
    cells[-1].metadata["tags"] = ["answer"]
    path = _copy(tmp_path / "small.ipynb", cells)
    before = path.read_bytes()
    monkeypatch.setattr(quickstart, "NOTEBOOK", path)
    monkeypatch.setattr("sys.argv", ["run_quickstart.py"])
    monkeypatch.setenv("RLM_MODEL", "openai/no-such-model")
    assert quickstart.main() == 0
    out, err = capfd.readouterr()
    assert "Answer: There is no data" in out
    assert out.endswith("make lab\n")
    assert err == ""
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("source", "said"), [("1 / 0", "ZeroDivisionError"), ("1 + 1", "no run was logged")])
def test_the_command_fails_where_the_notebook_fails_or_asks_nothing(
    tmp_path, monkeypatch, capfd, source, said
):
    path = _copy(tmp_path / "bad.ipynb", [nbformat.v4.new_code_cell(source)])
    monkeypatch.setattr(quickstart, "NOTEBOOK", path)
    monkeypatch.setattr("sys.argv", ["run_quickstart.py"])
    assert quickstart.main() == 1
    assert said in capfd.readouterr().err


def test_the_code_behind_each_answer_is_reproduced_and_in_all_a_small_part_of_what_ran(executed):
    found = proofs(executed[1])
    assert sum(proof["kept"] for proof in found) <= 0.3 * sum(proof["ran"] for proof in found)
    assert max(proof["share"] for proof in found) <= 0.35
    assert len(found) >= RUNS
    assert [proof for proof in found if proof["verdict"] != "reproduced"] == []
    assert not any("wrote the value itself" in proof["detail"] for proof in found)
