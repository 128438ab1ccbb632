"""The tasks: the same from the same seed, of the asked size, each with an answer that its grader accepts."""

import functools
import hashlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.quality.task_sets import SMALLEST, UnknownTaskError, names, recipes, select
from benchmarks.quality.twelve_tasks import twelve

ROOT = Path(__file__).parents[2]

# Of question, a line end and data: figures of different times can be compared only if these stay.
TWELVE = {
    "niah": "5b10df63b0a98d1a",
    "count_label": "f4055ad68d95279f",
    "top_user": "1412e3edeb7b7a79",
    "month_billing": "64cc5cebccf66ace",
    "pairs": "b23b85bfe9daefeb",
    "sum_amount": "5a936169e235a0b7",
    "error_codes": "a7386292fe0e3184",
    "contract": "8fbacead0660d26b",
    "json_mean": "97a16a8d1769818c",
    "set_diff": "9d57cba86aa7fd06",
    "sentiment": "94a646f9f932e476",
    "gap": "7198210c475c1180",
}
every_small = pytest.mark.parametrize("task", recipes(), indirect=True)


@functools.cache
def small():
    """The tasks by name; they are made when a test asks, not by each process that collects tests."""
    return {name: recipe.task(seed=3, size=SMALLEST) for name, recipe in recipes().items()}


@functools.cache
def old():
    """The twelve by name."""
    return {task.name: task for task in twelve()}


@pytest.fixture
def task(request):
    return small().get(request.param) or old()[request.param]


def digest(task):
    return hashlib.sha256(f"{task.question}\n{task.text()}".encode()).hexdigest()[:16]


def test_there_are_forty_tasks_and_twelve():
    assert len(recipes()) == 40
    assert len({recipe.family for recipe in recipes().values()}) == 8
    assert len(names()) == 52


def test_the_sizes_of_the_standard_set_span_the_range():
    sizes = {recipe.size for recipe in recipes().values()}
    assert min(sizes) == 2**13
    assert max(sizes) == 2**22


def test_the_twelve_have_the_data_they_always_had():
    assert {task.name: digest(task) for task in twelve()} == TWELVE


@pytest.mark.parametrize("task", [*recipes(), *TWELVE], indirect=True)
def test_the_wanted_answer_is_right_and_the_data_is_not(task):
    assert task.grader.judge(task.grader.wanted) == "right"
    assert task.grader.judge(task.data) != "right"
    assert task.grader.judge(task.text()) != "right"
    assert task.grader.judge(task.question) != "right"
    assert task.grader.judge("") != "right"


@every_small
def test_a_task_has_about_the_asked_size(task):
    assert 0.8 < len(task.text()) / SMALLEST < 1.2


@every_small
def test_other_seeds_give_other_tasks_of_the_same_shape(task):
    other = recipes()[task.name].task(seed=4, size=SMALLEST)
    assert digest(other) != digest(task)
    assert type(other.data) is type(task.data)
    assert type(other.grader) is type(task.grader)


def test_tasks_are_the_same_in_another_process():
    code = (
        "import hashlib; from benchmarks.quality.task_sets import recipes, SMALLEST\n"
        "for recipe in recipes().values():\n"
        "    task = recipe.task(3, SMALLEST)\n"
        "    print(task.name, hashlib.sha256(f'{task.question}\\n{task.text()}'.encode()).hexdigest()[:16])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert told.splitlines() == [f"{task.name} {digest(task)}" for task in small().values()]


def test_a_size_of_the_largest_kind_can_be_made():
    (task,) = select(["given_after"], size=2**22)
    assert 0.8 < len(task.text()) / 2**22 < 1.2


def test_tables_are_frames_and_as_text_csv():
    (one,) = select(["table_largest"], size=SMALLEST)
    assert isinstance(one.data, pd.DataFrame)
    assert one.text().startswith(
        "order_id,date,customer_id,region,supplier,product,units,price,refunded\n10000,"
    )
    (two,) = select(["table_join_total"], size=SMALLEST)
    assert list(two.data) == ["orders", "customers"]
    assert two.text().startswith("## orders\norder_id,")
    assert "\n\n## customers\nid,segment,since\n" in two.text()


def test_messy_tables_have_what_they_say():
    (task,) = select(["messy_month"], size=2**15)
    amounts, dates = task.data["amount"], task.data["date"]
    assert task.data["invoice"].duplicated().any()
    assert amounts.str.contains(r"\$.*,").any()
    assert amounts.str.contains("USD").any()
    assert amounts.isin(["", "n/a", "-", "NULL"]).any()
    assert dates.str.contains("/").any()
    assert dates.str.contains("[A-Z]").any()


def test_an_answer_computed_by_another_way_is_right():
    """The graders' values come from the generator's own rows; these from the data as it is handed out."""
    (task,) = select(["messy_total"])
    frame = task.data.drop_duplicates("invoice")
    digits = frame["amount"].str.replace(r"[^\d.]", "", regex=True)
    assert task.grader.judge(pd.to_numeric(digits, errors="coerce").sum()) == "right"
    (task,) = select(["table_join_segment"])
    both = task.data["orders"].merge(task.data["customers"], left_on="customer_id", right_on="id")
    assert task.grader.judge(both.groupby("segment")["refunded"].mean().idxmax()) == "right"
    (task,) = select(["given_after"], size=2**17)
    day, label = task.question[21:31], task.question.split("'")[1]
    rows = [line.removeprefix("Date: ").split(" || ") for line in task.data.splitlines()]
    assert any(row[0] == day and row[2] == f"Label: {label}" for row in rows)
    assert task.grader.judge(sum(row[0] > day and row[2] == f"Label: {label}" for row in rows)) == "right"
    (task,) = select(["given_month"])
    rows = [line.split(" || ") for line in task.data.splitlines()]
    label = task.question.split("'")[1]
    months = pd.Series([row[0][6:13] for row in rows if row[2] == f"Label: {label}"])
    assert task.grader.judge(months.value_counts().head(1)) == "right"


def test_tasks_are_chosen_by_set_family_and_name():
    assert [task.name for task in select(["niah_word", "pairs_both"], size=SMALLEST)] == [
        "niah_word",
        "pairs_both",
    ]
    assert len(list(select(["messy-table"], seeds=[1, 2], size=SMALLEST))) == 4
    assert [task.name for task in select(["twelve/gap"])] == ["gap"]
    assert len(list(select(["twelve"]))) == 12


def test_an_unknown_task_is_refused_with_those_there_are():
    with pytest.raises(UnknownTaskError, match=r"no task `nia`\. There are: all, twelve, niah_number"):
        select(["nia"])
