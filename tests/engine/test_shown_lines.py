"""Lines that a small model was shown and takes for run are put before its code."""

import pytest

from rlm_jupyter.engine.agent.shown_lines import missing_lines

LINES = [
    'rows["label"] = classify(rows["message"], ["a", "b"])',
    "selected = rows[rows['label'] == 'a']  # 'a'",
    "first = set(selected['user'])\nusers = first & set(rows['user'])",
]


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("result = len(selected)", [0, 1]),
        ("selected = rows[:3]\nresult = len(selected)", []),
        ("result = rows['label'].value_counts()", [0]),
        ("rows['label'] = 'x'\nresult = rows['label'].nunique()", []),
        ("print(len(users))", [0, 1, 2, 3]),
        ("def f(users):\n    return len(users)", []),
        ("FINAL(result)", []),
        ("result = (", []),
        ("result = rows['user'].nunique()", []),
    ],
)
def test_what_code_uses_and_does_not_make_is_put_before_it(code, needed):
    lines = "\n".join(LINES).splitlines()
    assert missing_lines(code, LINES, {"rows", "context"}, ["message", "user"]) == [lines[n] for n in needed]


def test_what_is_done_is_not_done_again():
    code = "result = selected['label'].value_counts()"
    assert missing_lines(code, LINES, {"rows", "selected"}, ["message", "label"]) == []
    assert missing_lines("x = len(selected)", LINES, {"rows"}, ["message", "label"]) == LINES[1:2]
