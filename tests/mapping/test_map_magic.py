"""`%%rlm_map` in real shells and kernels: its options, what it waits for, its help and completion."""

import json
import re

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from magics_parts import notebook, terminal_shell
from map_parts import answering, complaints, sizes
from nbformat.v4 import new_code_cell, new_notebook
from run_parts import until

from rlm_jupyter import ConfigError

SETUP = f"""
import sys
sys.path.insert(0, {__file__.rsplit("/", 2)[0] + "/support"!r})
from map_parts import answering, complaints
%config RLMMagics.log_dir = None
model, table = answering(), complaints(COUNT)
"""


@pytest.fixture
def shell(tmp_path):
    with terminal_shell(tmp_path) as made:
        made.user_ns.update(model=answering(), table=complaints(60))
        yield made


def cell(shell, line, body="Is it about delivery?"):
    return shell.run_cell_magic("rlm_map", line, body)


def test_the_answers_are_the_value_of_the_cell_and_are_stored(shell):
    value = cell(
        shell, "table -m model -o out -s 'delivery: bool, why: string' --columns text --no-confirm --per 7"
    )
    assert value is shell.user_ns["out"]
    assert value["delivery"].dtype == bool
    assert value["why"].tolist() == complaints(60)["text"].tolist()
    assert max(sizes(shell.user_ns["model"])) == 7
    assert set(value.attrs) >= {"model", "prompt", "cost", "when"}


def test_where_nothing_can_be_clicked_the_cell_returns_and_the_run_waits_for_next(shell, capsys):
    run = cell(shell, "table -m model -o out -s 'delivery: bool, why: string' --no-function")
    until(lambda: run.waits or run.done)
    assert "`%rlm next` goes on" in capsys.readouterr().out
    assert run.waits
    shell.run_line_magic("rlm", "tree")
    assert "go on?" in capsys.readouterr().out
    shell.run_line_magic("rlm", "next")
    run.wait(60)
    until(lambda: "out" in shell.user_ns)
    assert shell.user_ns["out"]["error"].isna().all()


def test_groups_and_a_type_as_schema(shell):
    from scripts import by_question

    shell.user_ns.update(groups=by_question({"How many?": ["FINAL(len(context))"]}))
    table = shell.user_ns["table"]
    table["day"] = [number % 2 for number in range(60)]
    value = cell(shell, "table -m groups -s int --by day --no-confirm", "How many?")
    assert value["answer"].tolist() == [30, 30]


def test_a_dry_run_shows_the_first_request(shell, capsys):
    assert cell(shell, "table -m model -s 'delivery: bool' --columns text --dry-run") is None
    told = capsys.readouterr().out
    assert "60 rows, 20 in the sample" in told
    assert '{"n": 3, "item": {"text":' in told
    assert shell.user_ns["model"].requests == []


def test_an_estimate_is_made_of_the_requests_that_the_run_then_sends(shell, capsys):
    line = "table -s 'delivery: bool, why: string' --columns text"
    shell.run_line_magic("config", "RLMMagics.price = (1.0, 2.0)")
    model = shell.user_ns["model"]
    assert cell(shell, f"{line} -m model --estimate") is None
    told = capsys.readouterr().out
    assert model.requests == []
    assert "nothing was sent, not even the sample" in told
    assert "no map of this model" in told
    assert "Cost:     about $0.00" in told
    assert "Agents" not in told
    cell(shell, f"{line} -m model --no-confirm --no-cache")
    packs = sizes(model)
    assert f"Requests: {len(packs)} for 60 rows" in told
    sent = sum(len(one["content"].encode()) for request in model.requests for one in request.messages) / 4
    figure = int(re.search(r"about ([\d,]+) sent", told)[1].replace(",", ""))
    assert sent / 2 < figure < sent * 2


def test_groups_are_estimated_from_earlier_maps_only(shell, tmp_path, capsys):
    rows = [
        (
            "run_started",
            {"question": "q", "model": "m", "sub_model": "m", "scripted": False, "context": None},
        ),
        *[("agent_started", {})] * 3,
        ("rows_mapped", {}),
        ("reply_finished", {"gen_ai.usage.input_tokens": 300, "gen_ai.usage.output_tokens": 100}),
        ("run_finished", {"status": "done"}),
    ]
    logs = tmp_path / "estimated"
    logs.mkdir()
    lines = [{"kind": kind, "run": "r", "time": 10.0 * n, **more} for n, (kind, more) in enumerate(rows)]
    (logs / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shell.user_ns["table"]["day"] = [number % 5 for number in range(60)]
    line = "table -m openai/m -s int --by day --estimate"
    shell.run_line_magic("config", "RLMMagics.price = (1.0, 2.0)")
    shell.run_line_magic("config", f"RLMMagics.log_dir = {str(tmp_path / 'none')!r}")
    assert cell(shell, line) is None
    assert "Tokens:   not known" in capsys.readouterr().out
    shell.run_line_magic("config", f"RLMMagics.log_dir = {str(logs)!r}")
    cell(shell, line)
    told = capsys.readouterr().out
    assert "Agents:   5, one for each group" in told
    assert "Tokens:   about 1,000" in told  # 400 for two agents
    assert "from 1 earlier map of this model" in told


@pytest.mark.parametrize(
    ("line", "body", "error", "words"),
    [
        ("", "q", UsageError, "there is no name"),
        ("table model", "q", UsageError, "2 names"),
        ("tabel", "q", UsageError, "Did you mean `table`"),
        ("table", " ", UsageError, "question is empty"),
        ("table --nope", "q", UsageError, "no option `--nope`"),
        ("table -s 'a: '", "q", UsageError, "is none"),
        ("table -m model --columns nope", "q", ConfigError, "no column `nope`"),
        ("table -m model -s 'a: nonsense'", "q", ConfigError, "no dtype"),
    ],
)
def test_wrong_lines(shell, line, body, error, words):
    with pytest.raises(error, match=words):
        cell(shell, line, body)
    assert shell.user_ns["model"].requests == []


def test_completion_and_help(shell):
    from rlm_jupyter.magics import arguments
    from rlm_jupyter.magics.map_cell import MAP

    def complete(text):
        with provisionalcompleter():
            return sorted(one.text for one in shell.Completer.completions(text, len(text)))

    assert set(complete("%%rlm_map table -")) == set(arguments.options(MAP))
    assert complete("%%rlm_map tab") == ["table"]
    assert complete("%%rlm_map table --columns te") == ["text"]
    assert complete("%%rlm_map table --columns text,se") == ["secret"]
    assert complete("%%rlm_map table --by se") == ["secret"]
    help_text = shell.magics_manager.magics["cell"]["rlm_map"].__doc__
    assert "--no-confirm" in help_text
    assert "Ask one question for each row" in help_text


def test_it_goes_with_the_extension(shell):
    shell.extension_manager.unload_extension("rlm_jupyter")
    assert "rlm_map" not in shell.magics_manager.magics["cell"]
    shell.extension_manager.load_extension("rlm_jupyter")
    assert "rlm_map" in shell.magics_manager.magics["cell"]


def test_in_a_notebook_without_a_widget_the_cell_does_not_hang(tmp_path):
    with notebook(tmp_path) as book:
        assert book.run(SETUP.replace("COUNT", "60"))[0]["status"] == "ok"
        reply, _ = book.run(
            "# a comment\n%%rlm_map table -o out -m model -s 'delivery: bool' --columns text\nDelivery?"
        )
        assert reply["status"] == "ok"
        assert (
            book.run("run = %rlm last\nwhile not (run.waits or run.done): pass\n%rlm next\nrun.wait(60)")[0][
                "status"
            ]
            == "ok"
        )
        assert book.value("int(run.value['error'].isna().sum())") == "60"
        reply, outputs = book.run(
            "%%rlm_map\ttable -o again -m model -s 'delivery: bool' --no-confirm;\nDelivery?"
        )
        assert reply["status"] == "ok"
        assert not [kind for kind, _ in outputs if kind == "execute_result"], (
            "the semicolon keeps it off the screen"
        )
        assert book.value("int(again['delivery'].sum())") == "40"


def test_in_a_notebook_with_a_widget_the_cell_waits_for_the_click(tmp_path):
    """`%rlm next` stands for the button: both call `run.next`."""
    with notebook(tmp_path, display="widget") as book:
        assert book.run(SETUP.replace("COUNT", "60"))[0]["status"] == "ok"
        code = (
            "import asyncio\n"
            "async def press():\n"
            "    from rlm_jupyter.rlm import last_run\n"
            "    while last_run() is None or not last_run().waits:\n"
            "        await asyncio.sleep(0.05)\n"
            "    last_run().next('0')\n"
            "pressing = asyncio.ensure_future(press())"
        )
        assert book.run(code)[0]["status"] == "ok"
        reply, _ = book.run("%%rlm_map table -o out -m model -s 'delivery: bool'\nDelivery?", timeout=100)
        assert reply["status"] == "ok"
        assert book.value("int(out['error'].isna().sum())") == "60"


@pytest.mark.parametrize(
    "line", ["%%rlm_map table -m model -o out -s 'delivery: bool'", "%%rlm table -m model --step"]
)
def test_nbclient_does_not_wait_for_a_click_that_nobody_makes(tmp_path, monkeypatch, line):
    """With widgets, too: nobody is there to press Next."""
    from nbclient import NotebookClient

    monkeypatch.setenv("RLM_JUPYTER_DISPLAY", "widget")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    check = "run = %rlm last\n%rlm stop\nrun.status"
    cells = ["%load_ext rlm_jupyter\n" + SETUP.replace("COUNT", "60"), f"{line}\nIs it late?", check]
    book = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(
        book, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = "".join(output.get("text", "") for output in book.cells[1].outputs)
    assert "%rlm next" in shown
    if "map" in line:
        assert "stopped" in str(book.cells[2].outputs)
