"""A table of what stands in Python sources."""

from rlm_jupyter.guest.code_table import is_code, parse_code

FILES = {
    "a.py": '"""def not_one(): raise ValueError()"""\nimport os.path, re\nfrom . import b\nfrom json import loads\n\n'
    "class Box:\n    def put(self): raise ValueError('full')\n    async def take(self):\n        def inner(): pass\n"
    "        return self.lid.open()\n",
    "b.py": "def warn(): raise\ndef go():\n    raise KeyError\n",
    "broken.py": "def (",
}


def test_each_definition_import_call_and_raise_is_a_row():
    rows = parse_code(FILES)
    found = {
        (row.kind, row.name, row.level, row.inside)
        for row in rows.fillna({"inside": ""})[rows["file"] == "a.py"].itertuples()
    }
    assert found == {
        ("import", "os.path", "top", ""),
        ("import", "re", "top", ""),
        ("import", ".", "top", ""),
        ("import", "json", "top", ""),
        ("class", "Box", "top", ""),
        ("function", "put", "class", "Box"),
        ("raise", "ValueError", "function", "Box.put"),
        ("call", "ValueError", "function", "Box.put"),
        ("function", "take", "class", "Box"),
        ("function", "inner", "function", "Box.take"),
        ("call", "self.lid.open", "function", "Box.take"),
    }
    other = rows[rows["file"] == "b.py"]
    assert list(zip(other["kind"], other["name"], other["line"], strict=True)) == [
        ("function", "warn", 1),
        ("raise", "", 1),
        ("function", "go", 2),
        ("raise", "KeyError", 3),
    ]
    assert "broken.py" not in set(rows["file"])


def test_one_source_is_a_table_too():
    assert list(parse_code("class A: pass")["name"]) == ["A"]


def test_sources_are_told_from_other_texts():
    assert is_code(FILES)
    assert not is_code({"a": "Dear all,\nthe meeting is on Monday.", "b": "word", "c": "two words"})
    assert not is_code({})
    assert not is_code(["import re"])
    assert not is_code({"a": 1})


def test_a_deep_source_ends_nothing():
    deep = "x = " + "(" * 3000 + ")" * 3000
    assert list(parse_code({"deep.py": deep, "a.py": "import re"})["name"]) == ["re"]
    chain = "x = " + "+".join(["f()"] * 3000)
    assert len(parse_code({"chain.py": chain})) in (0, 3000)  # as deep as the parser goes


def test_what_is_in_no_class_is_not_counted_as_one():
    rows = parse_code(FILES)
    assert dict(rows[rows["kind"] == "function"]["inside"].value_counts()) == {"Box": 2, "Box.take": 1}
