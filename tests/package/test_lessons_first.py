"""Lessons 1 to 3, executed: what they say is so; and the form of all six as they are committed."""

import re

import nbformat
import pytest
from lessons import FOLDER, committed, execute, printed, space_of

from benchmarks.quality.twelve_tasks import twelve

BOOKS = committed()


def test_what_is_an_rlm(tmp_path):
    book = execute(1, tmp_path)
    lines = space_of(book, "import random")["lines"]
    expected = sum(float(line.split("$")[1].split()[0]) for line in lines if " completed " in line)
    said = printed(book, "print(total,").split()
    assert float(said[0]) == pytest.approx(expected)
    assert said[1] == "True"
    shown = printed(book, "%%rlm payments --dry-run")
    assert sum(line in shown for line in lines) <= 50, "the model is shown the data"
    turns = printed(book, "agent =")
    assert "rows[rows['payment'] == 'completed']['amount'].sum()" in turns
    assert "312421.35" in turns
    assert "312421.35" in printed(book, "%rlm replay")
    assert printed(book, 'print(f"read') == (
        "read 1,229 tokens, wrote 58\nthe data in a prompt would have been at least 30,808 tokens\n"
    )
    text = "".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert "Qwen2.5-Coder-1.5B-Instruct" in text
    assert "312,421.35" in text


def test_step_by_step(tmp_path):
    book = execute(2, tmp_path)
    values = [
        "".join(output.get("text", "") for output in cell.outputs).split()[-1]
        for cell in book.cells
        if cell.cell_type == "code" and cell.source.endswith("print(run.value)")
    ]
    sales = space_of(book, "%load_ext")["sales"]
    assert values == [
        sales.groupby("region")["amount"].sum().idxmax(),
        sales[~sales["returned"]].groupby("region")["amount"].sum().idxmax(),
    ]
    assert values[0] != values[1]
    written, ran = printed(book, "turn =").splitlines()
    assert "returned" in ran
    assert "returned" not in written


def test_depth_and_width(tmp_path):
    book = execute(3, tmp_path)
    space = space_of(book, "import random")
    comments = space["comments"]
    bad = comments["text"].isin(space["BAD"])
    expected = bad.groupby(comments["hotel"]).sum().to_dict()
    assert [eval(line) for line in printed(book, "QUESTION").split("\n") if line] == [expected] * 3
    assert "True" in printed(book, "is_bad")
    table = [line.split() for line in printed(book, "table =").splitlines()[1:]]
    assert [(row[2], int(row[3]), int(row[4]), int(row[5])) for row in table] == [
        ("0", 1, 0, 49),
        ("1", 5, 1, 53),
        ("2", 13, 2, 61),
    ]
    costs = [float(row[-1]) for row in table]
    assert costs == sorted(costs)
    lanes = printed(book, "def timeline").splitlines()
    assert [line.split()[0] for line in lanes if "█" in line].count("0.4.2") == 1
    assert printed(book, "deep =") == "I read two comments. - 1 agent\n"


def test_the_recorded_runs_are_those_that_the_tests_replay_and_their_answers_are_right():
    tasks = {task.name: task for task in twelve()}
    for log in FOLDER.glob("recorded/*.jsonl"):
        assert log.read_bytes() == (FOLDER.parents[1] / "tests" / "logs" / log.name).read_bytes()
        assert log.stem in tasks
        assert log.name in (FOLDER / "recorded" / "README.md").read_text("utf-8")
    assert tasks["sum_amount"].grader.value == 312421.35
    assert (tasks["month_billing"].grader.year, tasks["month_billing"].grader.month) == (2026, 1)


def test_there_are_six():
    assert [name[0] for name in BOOKS] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("name", BOOKS)
def test_a_committed_lesson_has_its_outputs_and_says_first_what_one_will_know(name):
    book = BOOKS[name]
    nbformat.validate(book)
    title, _, second = book.cells[0].source.split("\n")[:3]
    assert title.startswith(f"# {name[0]}. ")
    assert second.startswith("After this lesson you ")
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert "error" not in {output.output_type for output in outputs}
    kinds = {kind for output in outputs for kind in output.get("data", ())}
    assert kinds <= {"text/plain", "text/html"}
    raw = (FOLDER / name).read_text("utf-8")
    assert len(raw) < 100_000
    assert not re.search(r"/tmp/|/home/|/root/", raw)
    for link in re.findall(r"\]\((?!https://)([^)]+)\)", raw):
        assert (FOLDER / link).exists(), link
