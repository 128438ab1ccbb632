"""The same code as source, in a Python that has neither this package nor any library."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

from rlm_jupyter.kernels.launch.guest_bundle import fork_server_sources, loading_code
from rlm_jupyter.values.codec import api as codec

BOOT = """
import sys
told = sys.stdin.read()
exec(told)
from _rlm.values.codec import api as codec
from _rlm.values.describe import api as describe
"""


def in_a_bare_python(code, *fds, options=("-I", "-S")):
    done = subprocess.run(
        [sys.executable, *options, "-c", BOOT + textwrap.dedent(code), *map(str, fds)],
        input=loading_code(), pass_fds=fds, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_sources_need_the_standard_library_and_each_other_only():
    sources = fork_server_sources()
    for name, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                continue
            names = (
                [alias.name for alias in getattr(node, "names", ())] if isinstance(node, ast.Import) else []
            )
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            # Some are about ipykernel's own classes, and are imported after ipykernel only.
            about = (".threadless_app", ".heartbeat_on_demand", ".prebuilt_app", ".rebuilt_app")
            others = (
                {"ipykernel", "zmq", "traitlets", "IPython", "jupyter_client"}
                if name.endswith(about)
                else set()
            )
            assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names | others, name
    assert {"_rlm.values.codec.api", "_rlm.guest.agent_side", "_rlm.supervisor.forkserver"} <= set(sources)


def test_each_module_has_builtins_of_its_own():
    out = in_a_bare_python(
        """
        import builtins
        builtins.len = lambda _: "broken"
        from _rlm.guest import depth_fallback  # imported after the damage
        codec.__builtins__["len"] = None
        print(depth_fallback.__builtins__["len"]((1, 2)), describe.__builtins__["len"]((1,)))
        """
    )
    assert out == "2 1\n"


def test_the_package_is_served_once():
    out = in_a_bare_python(
        """
        before = list(sys.meta_path)
        exec(compile(told, "again", "exec"))
        assert sys.meta_path == before
        print([name for name in globals() if name.lower() in {"packed", "serve", "pack", "unpack", "root"}])
        """
    )
    assert out == "[]\n"


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
