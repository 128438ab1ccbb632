"""The demo model and sub-agents: which parts of the data it hands on, what it says of that, and what limits do to it."""

import re

import matplotlib as mpl
import pandas as pd
import pytest
from demo_data import QUESTION, near, planted
from demo_talk import Talk
from matplotlib import pyplot as plt

from rlm_jupyter import RLM, Limits
from rlm_jupyter.demo_model import table_moves
from rlm_jupyter.demo_model.model import PROVENANCE

mpl.use("agg")
ROWS = 20_000
WHY_PARTS = re.compile(
    r"\brows are many\b|stands by itself|is long|is a part by itself|is still many|are still many"
)


@pytest.fixture
def large(monkeypatch):
    """Makes each quarter of the planted orders large."""
    monkeypatch.setattr(table_moves, "LARGE", ROWS // 5)


@pytest.mark.usefixtures("large")
def test_the_parts_of_a_large_table_go_to_sub_agents_and_it_says_why():
    orders, guilty, since = planted(1)
    talk = Talk(QUESTION, orders)
    assert [depth for depth, _ in talk.questions].count(1) == 4
    assert talk.deepest == 2
    assert (talk.value["supplier"], near(talk.value["since"], since)) == (guilty, True)
    asking = [reply for reply in talk.replies if "rlm_query" in reply]
    assert len(asking) == 5
    assert all(WHY_PARTS.search(reply.split("```")[0]) for reply in asking)


def test_a_part_that_is_small_enough_is_not_split_again():
    talk = Talk("How many refunds by country?", planted(1, n=300_000)[0])
    assert [depth for depth, _ in talk.questions] == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("question", [QUESTION, "Give me an overview", "What is the mean price per country?"])
def test_small_data_is_computed_by_one_agent(question):
    assert Talk(question, planted(1)[0]).deepest == 0


@pytest.mark.parametrize(
    ("question", "most"),
    [
        ("Which country has the most orders?", 1),
        ("What is the total price per supplier?", 1),
        ("What is the mean price?", 1),
        ("How many orders in March?", 2),
        (QUESTION, 12),
        ("Plot refunds per supplier", 4),
    ],
)
@pytest.mark.parametrize("rows", [ROWS, 250_000])
def test_each_cell_is_a_few_lines_without_functions_and_what_is_computed_shorter(question, most, rows):
    talk = Talk(question, planted(1, n=rows)[0], names=("orders",))
    cells = [
        re.search(r"^(```+)repl\n(.*?)\n\1$", reply, re.DOTALL | re.MULTILINE)[2] for reply in talk.replies
    ]
    assert max(len(cell.splitlines()) for cell in cells) <= 12
    assert max(len(line) for cell in cells for line in cell.splitlines()) <= 140
    assert not re.search(r"\b(?:def|class|lambda part|exec|eval)\b", "\n".join(cells))
    if rows == ROWS:
        work = [
            line for line in cells[1].splitlines() if not line.startswith(("print(", "total.head", "import"))
        ]
        assert len(work) <= most
    plt.close("all")


@pytest.mark.parametrize(("documents", "deepest"), [(3, 1), (12, 1), (600, 2)])
@pytest.mark.parametrize("question", ["How many classes?", "List the classes"])
def test_several_documents_are_read_by_sub_agents_and_many_of_them_in_halves(documents, deepest, question):
    texts = {f"m{i}.py": "class A:\n" * (i % 5) + "-" * 30_000 + "\n" for i in range(documents)}
    talk = Talk(question, texts)
    assert talk.value["total"] == sum(i % 5 for i in range(documents))
    assert talk.deepest == deepest
    assert [depth for depth, _ in talk.questions].count(1) == min(documents, 4)


@pytest.mark.parametrize("rows", [10, 15_000])
def test_tables_with_the_same_columns_are_taken_together_and_large_ones_apart(rows):
    months = {f"part{i}": pd.DataFrame({"city": ["Ulm", "Bonn"] * rows, "sales": i + 1}) for i in range(3)}
    talk = Talk("What is the total of sales by city?", months)
    assert talk.value["table"].to_dict() == {"Ulm": 6 * rows, "Bonn": 6 * rows}
    assert [depth for depth, _ in talk.questions].count(1) == (3 if rows > 10_000 else 0)
    assert Talk("Give me an overview", months).value["rows"] == 6 * rows
    assert Talk("What is the total of sales by city in part1?", months).value["table"].sum() == 4 * rows


@pytest.mark.parametrize("form", [str, lambda t: t.encode(), lambda t: [t], lambda t: bytearray(t.encode())])
def test_one_long_text_is_read_in_pieces_with_its_own_line_numbers(form):
    text = "".join(f"class C{i}:\n" if i % 100 == 5 else f"line {i} {'-' * 300}\n" for i in range(1000))
    talk = Talk("List all classes", form(text))
    assert talk.value["table"]["line"].tolist() == list(range(6, 1000, 100))
    assert [depth for depth, _ in talk.questions].count(1) == 4
    counted = Talk("How many classes are defined?", form(text))
    assert counted.value["total"] == 10
    assert WHY_PARTS.search(counted.replies[1].split("```")[0])
    assert Talk("How many classes are defined?", form(text[:9000])).deepest == 0


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_any_depth_limit_gives_the_same_answer(depth):
    orders, guilty, since = planted(19)
    talk = Talk(QUESTION, orders, depth=depth)
    assert talk.value["supplier"] == guilty
    assert near(talk.value["since"], since)
    assert talk.deepest == min(depth, 2)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("agents", [1, 2, 6])
def test_parts_without_a_sub_agent_are_computed_by_the_parent(agents):
    orders = planted(20)[0]
    whole, few = Talk(QUESTION, orders), Talk(QUESTION, orders, agents=agents)
    assert few.value["answer"] == whole.value["answer"]
    assert len(few.questions) == agents


@pytest.mark.usefixtures("large")
def test_in_real_kernels_the_run_says_that_it_is_scripted_and_finds_the_truth(tmp_path):
    orders, guilty, since = planted(22)
    with RLM("demo", log_dir=tmp_path).run(QUESTION, orders, names=("orders",)) as run:
        assert run.value["supplier"] == guilty
        assert near(run.value["since"], since)
        assert run.value["provenance"] == PROVENANCE
        assert run.tree.scripted
        assert "no language model" in run.tree.provenance
        assert len(run.agents) == 13
        assert run.tree.depth == 2
        assert run.cost == 0
        assert run.agents["0"].pull("daily").sum().sum() == orders.refunded.sum()
        part = run.agents["0.2"].pull("total")
        assert part["refunded"].sum() == orders.refunded[ROWS // 4 : ROWS // 2].sum()


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("limits", [{"depth": 0}, {"depth": 1}, {"agents": 3}])
def test_in_real_kernels_limits_are_kept_and_the_answer_is_there(tmp_path, limits):
    orders, guilty, _ = planted(23)
    with RLM("demo", log_dir=tmp_path, limits=Limits(**limits)).run(QUESTION, orders) as run:
        assert run.value["supplier"] == guilty
        assert len(run.agents) <= limits.get("agents", 100)
