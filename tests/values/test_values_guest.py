"""The same code as source, in a Python that has neither this package nor any library."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

from rlm_jupyter.values import guest_sources
from rlm_jupyter.values.codec import api as codec

BOOT = """
import json, sys, types
for name, source in json.load(sys.stdin).items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
codec, describe = sys.modules["_rlm.values.codec.api"], sys.modules["_rlm.values.describe.api"]
"""


def in_a_bare_python(code, *fds, options=("-I", "-S")):
    done = subprocess.run(
        [sys.executable, *options, "-c", BOOT + textwrap.dedent(code), *map(str, fds)],
        input=json.dumps(guest_sources()), pass_fds=fds, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_sources_need_the_standard_library_and_each_other_only():
    known = set()
    for name, source in guest_sources().items():
        for node in ast.parse(source).body:
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert all(
                module.partition(".")[0] in sys.stdlib_module_names | {"__future__"} for module in modules
            ), name
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert {a.name for a in node.names if a.name.startswith("_rlm_")} <= known, name
        known.add(name)
    assert {"_rlm.values.codec.api", "_rlm.values.codec.pandas_frames", "_rlm.values.describe.api"} <= known


def test_plain_values_cross_into_a_python_without_libraries():
    fd, _ = codec.dump({"rows": [(1, "é\ud800", None)], "n": 10**50}, allow_pickle=False)
    out = in_a_bare_python(
        """
        fd = int(sys.argv[1])
        value = codec.load(fd, allow_pickle=True)
        assert value == {"rows": [(1, "é\\ud800", None)], "n": 10**50}
        again, kind = codec.dump(value, allow_pickle=False)
        assert codec.load(again, allow_pickle=False) == value
        print(describe.describe(value)["summary"], kind)
        print(describe.render(describe.describe(value), name="context"))
        try:
            codec.dump([sys], allow_pickle=False, name="x")
        except codec.Unencodable as error:
            print(error)
        fd, kind = codec.dump([len], allow_pickle=True)
        assert codec.load(fd, allow_pickle=True) == [len] and kind == "pickle"
        assert not {"numpy", "pandas", "rlm_jupyter"} & set(sys.modules)
        """,
        fd,
    )
    os.close(fd)
    assert out.startswith("dict of 2 keys")
    assert "`x[0]` cannot be transferred: it is a module" in out


def test_a_table_needs_pandas_where_it_is_read_and_says_so():
    fd, _ = codec.dump(pd.DataFrame({"a": [1]}), allow_pickle=False)
    out = in_a_bare_python(
        """
        try:
            codec.load(int(sys.argv[1]), allow_pickle=True)
        except codec.MissingLibrary as error:
            print(error)
        """,
        fd,
    )
    os.close(fd)
    assert "needs `pandas`" in out


@pytest.mark.parametrize("with_arrow", [True, False])
def test_tables_cross_both_ways_between_processes(with_arrow):
    frame = pd.DataFrame({"a": np.arange(5000.0), "s": ["x", None, "é", "z", "w"] * 1000})
    fd, _ = codec.dump(frame, allow_pickle=False)
    reply = os.memfd_create("reply")
    in_a_bare_python(
        f"""
        if not {with_arrow}:
            sys.modules["pyarrow"] = None
        import os
        frame = codec.load(int(sys.argv[1]), allow_pickle=True)
        frame.loc[0, "a"] = -1.0
        fd, kind = codec.dump(frame, allow_pickle=False)
        os.sendfile(int(sys.argv[2]), fd, 0, codec.size(fd))
        """,
        fd, reply, options=("-I",),
    )  # fmt: skip
    back = codec.load(reply, allow_pickle=False)
    os.close(reply)
    os.close(fd)
    frame.loc[0, "a"] = -1.0
    pd.testing.assert_frame_equal(back.astype({"s": "str"}), frame, check_column_type=with_arrow)
