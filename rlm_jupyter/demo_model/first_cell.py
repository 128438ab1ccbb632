"""The first cells that the demo writes, and what it reads of their output: what is the data?

A cell looks at a sample and prints lines of JSON; which cell comes next, and what the data is, follows from these
lines, here and not in the agent's kernel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rlm_jupyter.demo_model.plan import simple
from rlm_jupyter.demo_model.read_chat import Given, Talk
from rlm_jupyter.demo_model.table_look import KINDS_OF_TABLES, Look, Seen, table_look

_MOST_TABLES = 6
_TEXTS = {"builtins.str", "builtins.bytes", "builtins.bytearray"}
_POLARS = re.compile(
    r"^- .*\((?:String|Boolean|Date|Datetime\(.*\)|Time|Categorical|Enum.*|List.*|Struct.*|Null)\)",
    re.MULTILINE,
)
_PANDAS = re.compile(
    r"^index: |^- .*\((?:str|string|object|category|bool|boolean|u?int\d+|float\d+|datetime64.*|period.*)\)",
    re.MULTILINE,
)


def look(talk: Talk) -> Seen | Look:
    """Returns what the data is, or the cell that has to be run to know more of it."""
    printed = [line for text in (*talk.before, *talk.outputs) for line in _lines(text)]
    root, made = _root(talk.given)
    kind = _kind(talk.given)
    if kind == "text":
        return _text(root, printed)
    if kind == "texts":
        return _texts(root, printed)
    if kind in ("empty", "other"):
        return Seen(kind)
    if kind in KINDS_OF_TABLES:
        return table_look(talk, {_name(talk.given): (root, kind)}, printed)
    items = next((line for line in printed if isinstance(line, dict) and "items" in line), None)
    if items is None:
        return Look(
            "Let me see what there is before anything else.",
            _ITEMS.format(made=made, root=root, items=_items(talk.given, root)),
        )
    return _in_items(talk, root, items, printed)


def _items(given: Sequence[Given], root: str) -> str:
    """Returns the code for the items of data, with their names."""
    word = _head(given[0]).split(" ", 1)[0]
    if len(given) > 1 or word == "dict" or given[0].variable in ("sheets", "loaded", "texts"):
        return f"{root}.items()"
    if word in ("list", "tuple"):
        return f"enumerate({root}, 1)"
    return f"{root}.items() if isinstance({root}, dict) else enumerate({root}, 1)"


_ITEMS = """\
import json
{made}items = list({items})
kinds = [f"{{type(item).__module__.split('.')[0]}}.{{type(item).__name__}}" for _, item in items]
sizes = [len(item) if hasattr(item, "__len__") else 0 for _, item in items]
first = [[str(name)[:60], kind, size] for (name, _), kind, size in zip(items, kinds, sizes)][:20]
print(json.dumps({{"items": len(items), "of": type({root}).__name__, "kinds": sorted(set(kinds))[:20],
                  "sizes": sorted(set(sizes))[:2], "all": sum(sizes), "first": first}}))"""


def _lines(text: str) -> Iterable[Any]:
    """Returns the lines of JSON in what a cell printed; other lines are for people."""
    for line in text.splitlines():
        if line.startswith(('{"', "[")):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                continue


def _name(given: Sequence[Given]) -> str:
    """Returns the name that the notebook gave to data which is one object."""
    return given[0].names[0] if len(given[0].names) == 1 else given[0].variable


def _root(given: Sequence[Given]) -> tuple[str, str]:
    """Returns the code of all data as one object, and the line that makes it if there were several objects."""
    if len(given) == 1:
        return given[0].variable, ""
    items = [_unpacked(one.variable, one.names[0] if len(one.names) == 1 else one.variable) for one in given]
    return "given", f"given = {{{', '.join(items)}}}\n"


def _unpacked(variable: str, own: str) -> str:
    return f"**({variable} if isinstance({variable}, dict) else {{{own!r}: {variable}}})"


def _head(one: Given) -> str:
    """Returns the first line of the description of data; of a follow-up's, it stands behind a remark."""
    return one.described.rpartition("; the earlier data stays:")[2].lstrip("\n").split("\n", 1)[0]


def _kind(given: Sequence[Given]) -> str:
    """Returns what the description says that the data is; ``"items"`` if each of its items must be looked at."""
    one = given[0]
    if len(given) > 1 or one.variable in ("sheets", "loaded", "data", "texts"):
        return "items"
    if one.variable in ("frame", "text"):
        return one.variable
    described, head = one.described, _head(one)
    word = head.split(" ", 1)[0]
    if match := re.match(r"(list|tuple|set|frozenset|dict) of (\d[\d,]*) \w+(?: \(([^)]*)\))?", head):
        return _container(match[1], match[2], set((match[3] or "").split(", ")))
    if word == "DataFrame":
        return _frame_kind(described, head)
    known = {"str": "text", "bytes": "text", "bytearray": "text", "LazyFrame": "polars.LazyFrame"}
    known |= {"Table": "pyarrow.Table", "Series": "pandas.Series", "Dataset": "pyarrow.Dataset"}
    known |= dict.fromkeys(("FileSystemDataset", "InMemoryDataset", "UnionDataset"), "pyarrow.Dataset")
    if word == "ndarray":
        return "numpy.ndarray" if re.match(r"ndarray [\d,]+(?: x [\d,]+)?,", head) else "other"
    return known.get(word, "other")


def _frame_kind(described: str, head: str) -> str:
    """Returns whose DataFrame it is, by the names of the columns' types."""
    if "partition" in head:
        return "dask.DataFrame"
    if re.match(r"DataFrame (?:0 x|[\d,]+ x 0\b)", head):
        return "empty"
    polars, pandas = _POLARS.search(described), _PANDAS.search(described)
    return "polars.DataFrame" if polars and not pandas else "pandas.DataFrame" if pandas else "frame"


def _container(kind: str, count: str, items: set[str]) -> str:
    if count == "0":
        return "empty"
    if kind == "dict":
        return "items"
    if items <= {"str", "bytes", "bytearray"}:
        return "texts"
    if kind in ("set", "frozenset"):
        return "other"
    if items <= {"int", "float", "bool"}:
        return "numbers"
    return f"builtins.{kind}" if items <= {"dict", "list", "tuple"} else "items"


def _text(root: str, printed: list[Any]) -> Seen | Look:
    """One text: how long it is."""
    seen = next((line for line in printed if isinstance(line, dict) and "characters" in line), None)
    if seen is None:
        cell = (
            "import json\n"
            'print(json.dumps({{"characters": len({0}), "type": type({0}).__name__}}))\n'
            "print({0}[:300])"
        )
        return Look("Let me look at the text before anything else.", cell.format(root))
    if not seen["characters"]:
        return Seen("empty")
    if seen.get("type") == "str":
        return Seen("text", code=root, documents=1, characters=seen["characters"])
    line = f'text = {root}.decode(errors="replace")\n'
    return Seen("text", code="text", prepare=line, documents=1, characters=seen["characters"])


def _texts(root: str, printed: list[Any]) -> Seen | Look:
    """A list, tuple or set of texts: how many, how long."""
    seen = next((line for line in printed if isinstance(line, dict) and "documents" in line), None)
    if seen is None:
        cell = (
            "import json\n"
            'print(json.dumps({{"documents": len({0}), "characters": sum(map(len, {0})),\n'
            '                  "types": sorted({{type(text).__name__ for text in {0}}})}}))\n'
            "print(next(iter({0}))[:300])"
        )
        return Look("Let me look at the texts before anything else.", cell.format(root))
    if not seen["characters"]:
        return Seen("empty")
    made = f"dict(enumerate({root}, 1))"
    if seen["types"] != ["str"]:
        made = (
            f'{{n: text if isinstance(text, str) else text.decode(errors="replace")'
            f" for n, text in enumerate({root}, 1)}}"
        )
    if seen["documents"] == 1:
        one = f"next(iter({root}))" + ("" if seen["types"] == ["str"] else '.decode(errors="replace")')
        return Seen("text", (), "text", f"text = {one}\n", 1, seen["characters"])
    return Seen("documents", (), "texts", f"texts = {made}\n", seen["documents"], seen["characters"])


def _in_items(talk: Talk, root: str, seen: Mapping[str, Any], printed: list[Any]) -> Seen | Look:
    """What a dict, or a list of mixed items, turned out to hold."""
    kinds, named = set(seen["kinds"]), seen["of"] == "dict"
    if not seen["items"]:
        return Seen("empty")
    columns = kinds <= {"builtins.list", "builtins.tuple", "numpy.ndarray"}
    if named and columns and seen["items"] > 1 and len(seen["sizes"]) == 1:
        return table_look(talk, {"context": (root, "columns")}, printed)
    if not named and kinds <= {"builtins.dict", "builtins.list", "builtins.tuple"}:
        return table_look(talk, {"context": (root, f"builtins.{seen['of']}")}, printed)
    tables = _tables_in(root, seen)
    return table_look(talk, tables, printed) if tables else _texts_in(root, seen)


def _tables_in(root: str, seen: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Returns the first tables among some items: name to code and kind."""
    tables = {}
    for at, (name, kind, _) in enumerate(seen["first"]):
        if (known := _known(kind)) is not None:
            by_name = seen["of"] == "dict" and simple(name)
            tables[name] = (f"{root}[{name!r}]" if by_name else f"items[{at}][1]", known)
    return dict(list(tables.items())[:_MOST_TABLES])


def _texts_in(root: str, seen: Mapping[str, Any]) -> Seen:
    """What there is among some items of which none is a table: texts, or nothing of use."""
    kinds, named = set(seen["kinds"]), seen["of"] == "dict"
    if not kinds & _TEXTS:
        return Seen("other")
    if not seen["all"]:
        return Seen("empty")
    names = tuple(name for name, _, _ in seen["first"]) if named else ()
    if named and kinds == {"builtins.str"}:
        return Seen("documents", (), root, "", seen["items"], seen["all"], names)
    pairs = f"{root}.items()" if named else f"enumerate({root}, 1)"
    only = "" if kinds <= _TEXTS else "\n         if isinstance(text, (str, bytes, bytearray))"
    made = f"texts = {{name: {_DECODED} for name, text in {pairs}{only}}}\n"
    return Seen("documents", (), "texts", made, seen["items"], seen["all"], names)


_DECODED = 'text if isinstance(text, str) else text.decode(errors="replace")'


def _known(kind: str) -> str | None:
    if kind.startswith("pyarrow.") and kind.endswith("Dataset"):
        return "pyarrow.Dataset"
    return kind if kind in KINDS_OF_TABLES and "." in kind else None
