"""What is true of the steps of any code behind an answer, checked by running the agent's own lines in this process."""

import ast
import copy

from rlm_jupyter.answer_code.comparison import difference
from rlm_jupyter.answer_code.history import RunHistory

ELSEWHERE = (
    "open(",
    "random",
    "environ",
    "set_option",
    "plt",
    "plot",
    "%",
    "await",
    "async",
    "exec",
    "eval",
    "globals",
    "locals",
    "llm_",
    "rlm_",
    "pathlib",
    "redirect",
    "SUBMIT",
    "answer",
    "clean(",
    "json",
    "import math",
    "main",
    "__future__",
    "inplace",
    "context.upper",
    ";",  # two statements with the same lines
)
"""What agents' code has that cannot run in this process, or would change it."""


def runs_here(case):
    """Whether the cells of a case can run in this process: they are plain Python and leave nothing behind."""
    return not case.subs and not any(word in cell for cell in case.cells for word in ELSEWHERE)


def assert_steps_stand_in_the_code(code):
    """Each step has lines of the code; one that is there as the agent wrote it has those lines."""
    tree = ast.parse(code.source)
    texts = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            texts.setdefault((node.lineno, node.end_lineno), ast.unparse(node))
            if getattr(node, "decorator_list", None):
                texts[node.decorator_list[0].lineno, node.end_lineno] = ast.unparse(node)
    hidden = "exec(" in code.source
    for step in code.steps:
        assert step.places or hidden, (step, code)
        assert hidden or all(place in texts for place in step.places), (step, code)


def _statements(code, events):
    """Pairs of a step of the root and the statement that it is about, by cell."""
    steps = {(step.cell, *step.lines): step for step in code.steps if step.agent == "0"}
    for cell in RunHistory.of(events).agents["0"].cells:
        if cell.status != "ok":
            return
        for node in ast.parse(cell.code).body:
            decorators = getattr(node, "decorator_list", None)
            first = decorators[0].lineno if decorators else node.lineno
            yield steps.get((cell.number, first, node.end_lineno)), node


class _EndedError(Exception):
    pass


def _space(case):
    """The names that an agent's kernel has from the start."""
    import collections
    import contextlib

    import numpy as np
    import pandas as pd

    def final(*_values, **_named):
        raise _EndedError

    data = copy.deepcopy(case.context)
    space = {
        "pd": pd,
        "np": np,
        "contextlib": contextlib,
        "Counter": collections.Counter,
        "__name__": "x",
    }
    space |= {"print": lambda *_args, **_named: None, "FINAL": final, "FINAL_VAR": final, "context": data}
    names = case.names or ()
    return {**space, **(data if len(names) > 1 else dict.fromkeys(names, data))}


def _run(node, space):
    exec(compile(ast.Module([copy.deepcopy(node)], []), "<cell>", "exec"), space)


def _rows(value):
    if getattr(value, "shape", None):
        return value.shape[0]
    return len(value) if type(value) in (list, tuple) else None


def assert_rows_are_true(code, events, case):
    """No step tells other rows than the variables had when its statement ran; return how many numbers it told."""
    space, told = _space(case), 0
    try:
        for step, node in _statements(code, events):
            reads = (
                {} if step is None else {name: rows for name, rows in step.reads.items() if rows is not None}
            )
            told += len(reads)
            assert {name: _rows(space[name]) for name in reads} == reads, (step, code)
            _run(node, space)
            writes = (
                {} if step is None else {name: rows for name, rows in step.writes.items() if rows is not None}
            )
            told += len(writes)
            assert {name: _rows(space[name]) for name in writes} == writes, (step, code)
    except _EndedError:
        pass
    return told


def _display(ran, code):
    """The statements that give the answer, and the expressions of its parts."""
    final = next((node for step, node in ran if step and step == code.steps[-1]), None)
    if final is None:
        return [], []
    given, ending = final.value.args, [final]
    if len(given) == 1 and isinstance(given[0], ast.Name):
        bound = [
            node for _, node in ran if isinstance(node, ast.Assign) and node.targets[0].id == given[0].id
        ]
        given, ending = [bound[-1].value], [final, bound[-1]]
    if len(given) > 1:
        return ending, given
    return ending, getattr(given[0], "values", None) or getattr(given[0], "elts", [])


def assert_parts_give_their_values(code, run, case):
    """The steps of each part give that part of the run's value, run by themselves; return how many parts there are."""
    if not code.parts:
        return 0
    ran = list(_statements(code, run.events))
    ending, expressions = _display(ran, code)
    for key, expression in zip(code.parts, expressions, strict=bool(ending)):
        chosen, space = code.part(key), _space(case)
        for step, node in ran:
            if step in chosen and node not in ending:
                _run(node, space)
        found = eval(compile(ast.Expression(expression), "<part>", "eval"), space)
        assert difference(found, run.value[key]) is None, (key, code)
    return len(code.parts)
