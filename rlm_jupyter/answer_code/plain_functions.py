"""The few plain functions that code behind an answer may need, as source: nothing of this package is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.rewriting import Names

HELPERS = {
    "QueryFailed": """\
class {QueryFailed}(Exception):
    kind, value, data = "failed", None, None

    @property
    def message(self):
        return str(self)""",
    "Failed": """\
class {Failed}:
    def __init__(self, error):
        self.error, self.kind, self.message, self.value = error, "failed", str(error), None

    def __bool__(self):
        return False""",
    "attempt": """\
def {attempt}(function, *given, **named):
    try:
        return function(*given, **named)
    except {QueryFailed} as error:
        return {Failed}(error)""",
    "recorded_answer": '''\
ASKED, NOT_RECORDED = [], []

def {recorded_answer}(prompt, *_, **__):
    """Return what a language model has answered."""
    if prompt not in RECORDED:
        NOT_RECORDED.append(prompt)
        raise LookupError(f"A language model was not asked this: {{prompt!r:.300}}")
    answers = RECORDED[prompt]
    answer = answers[min(ASKED.count(prompt), len(answers) - 1)]
    ASKED.append(prompt)
    if isinstance(answer, Exception):
        raise answer
    return answer''',
    "cited": '''\
def {cited}(text, start, end=None):
    """Return a passage of a text."""
    return start if isinstance(start, str) else text[start:end]''',
    "later": """\
async def {later}(value):
    return value""",
    "in_own_loop": '''\
def {in_own_loop}(work):
    """Run a coroutine to its end, also where a loop runs already."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()''',
}
"""By name, in the order in which they stand in code."""
NEEDS = {"attempt": ("QueryFailed", "Failed")}
IMPORTS = {"in_own_loop": ("import asyncio", "import concurrent.futures")}


def needed_helpers(names: Names) -> list[str]:
    """Returns the source of the helpers that were used."""
    for name, others in NEEDS.items():
        if name in names.used:
            for other in others:
                names(other)
    chosen = [name for name in HELPERS if name in names.used]
    spelled = {name: names.pick(name) for name in HELPERS}
    return [HELPERS[name].format(**spelled) for name in chosen]
