"""How much of the code that ran the code behind an answer is: what counts as code that ran, and the figures over logs."""

import pytest
from scripts import cell

from benchmarks import code_share
from benchmarks.quality.task_sets import select
from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel


def asked(cells, directory, question="How many?", context=(1, 2, 3), **options):
    rlm = RLM(model=ScriptedModel([cell(code) for code in cells]), log_dir=directory, cache=False, **options)
    return rlm.run(question, context=context)


@pytest.mark.parametrize(
    ("failed", "ran"),
    [
        ("x = 1\nmissing_name\ny = 2", "x = 1\nmissing_name"),
        ("def f():\n    return missing_name\n\nf()\nprint(1)", "def f():\n    return missing_name\n\nf()"),
        (
            "for n in range(3):\n    1 / n\n    print(n)\nprint(2)",
            "for n in range(3):\n    1 / n\n    print(n)",
        ),
        ("total = (", ""),
    ],
)
def test_of_a_cell_that_failed_counts_what_ran(tmp_path, failed, ran):
    final = "FINAL(len(context))"
    with asked([failed, final], tmp_path) as run:
        assert run.code(prove=False).of_characters == len(ran) + len(final)


def test_a_log_is_measured_and_proved_with_its_replies_on_the_data_of_its_task(tmp_path):
    (task,) = select(["given_count"])
    label = "rows[rows['label'] == 'quality']"
    cells = [f"# count\nfound = {label}\nprint(found)", "n = len(found)\nprint(n)", "FINAL(n)"]
    with asked(cells, tmp_path, task.question, task.data, prompt="small") as run:
        wanted = run.code(prove=False)
    path = run.log_path
    assert code_share.measured(tmp_path / "missing.jsonl", None) is None
    told = code_share.measured(path, None)
    assert (told.verdict, told.kept, told.ran) == ("not tried", wanted.characters, wanted.of_characters)
    assert told.tried
    proved = code_share.measured(path, {task.question: task})
    assert proved.verdict == "reproduced"
    assert proved.share == told.share < 0.6
    assert proved.text < told.text
    assert list(code_share.logs_below([tmp_path])) == [path]
    assert "1 runs, median" in code_share.summary("all", [proved])
