"""The few plain functions that code behind an answer may need, as source: nothing of this package is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.rewriting import Names

HELPERS = {
    "read_files": '''\
def {read_files}(data):
    """Read files as the agent had them: tables as one frame, sheets by name, what JSON holds, texts."""
    import json
    from pathlib import Path

    import pandas as pd

    def text(path):
        found = path.read_bytes()
        try:
            return found.decode("utf-8-sig")
        except UnicodeDecodeError:
            return found.decode("cp1252")

    def table(path):
        ending = path.suffix.lower()
        if ending in (".parquet", ".pq"):
            return pd.read_parquet(path)
        if ending in (".feather", ".arrow"):
            return pd.read_feather(path)
        first = pd.read_csv(path, sep="\\0", nrows=1, engine="python", encoding_errors="replace").columns[0]
        usual = "\\t" if ".tsv" in path.suffixes else ","
        separator = max((usual, ",", ";", "\\t", "|"), key=first.count)
        try:
            return pd.read_csv(path, sep=separator)
        except UnicodeDecodeError:
            return pd.read_csv(path, sep=separator, encoding="cp1252")

    if isinstance(data, dict):
        paths = {{name: item for name, item in data.items() if isinstance(item, (list, Path))}}
        archives = [name for name, item in paths.items() if isinstance(item, Path) and item.suffix.lower() == ".zip"]
        return {{name: {read_files}(item) for name, item in paths.items() if name not in archives}}
    single = isinstance(data, Path) and not data.is_dir()
    files = [data] if single else data
    if isinstance(data, Path) and not single:
        files = sorted(one for one in data.rglob("*") if one.is_file() and not one.name.startswith("."))
    endings = {{ending for one in files for ending in one.suffixes[-2:]}}
    if endings & {{".csv", ".tsv", ".tab", ".parquet", ".pq", ".feather", ".arrow"}}:
        return table(files[0]) if single else pd.concat(map(table, files), ignore_index=True)
    if not single:
        return {{one.relative_to(data).as_posix() if isinstance(data, Path) else one.name: text(one) for one in files}}
    if endings & {{".xlsx", ".xls", ".ods"}}:
        return dict(pd.read_excel(data, sheet_name=None))
    if ".pdf" in endings:
        from pypdf import PdfReader

        return "\\n\\f\\n".join(page.extract_text() for page in PdfReader(data).pages)
    if endings & {{".jsonl", ".ndjson"}}:
        return [json.loads(line) for line in text(data).split("\\n") if line.strip()]
    return json.loads(text(data)) if ".json" in endings else text(data)''',
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
    "recorded_choice": '''\
def {recorded_choice}(question, options=None, default=None):
    """Return what the user has answered, or what was assumed instead."""
    told = {recorded_answer}(question)
    known = [*(options or ()), default]
    return next((one for one in known if " ".join(str(one).split()) == told), told)''',
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
NEEDS = {"recorded_choice": ("recorded_answer",), "attempt": ("QueryFailed", "Failed")}
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
