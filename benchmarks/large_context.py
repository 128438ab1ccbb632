"""Large data as context: from the call to the first request, and the memory beyond the notebook's own.

`python -m benchmarks.large_context` measures in this very process and tells the samples as JSON, which is how the
frame is measured without pyarrow: in an environment that has all but that.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.kernel_parts import MIB, used_memory
from benchmarks.parts import Figure, asked
from benchmarks.server import Server

RUNS = 3
CODE = "assert len(context)\nFINAL(1)"


def measure() -> list[Figure]:
    """Measure both kinds of data; memory is what all processes hold more at the end of the run than before it."""
    figures = []
    with Server() as server:
        server.script({"root": ["FINAL(1)"]})
        with asked(server):
            pass  # the first run of a process starts its kernels' server
        for make in (_frame, _text):
            name, value, size = make()
            figures += _figures(name, size, *_several(server, value), most=1.0)
            del value
            gc.collect()
    name, size, took, answered, grown = _without_pyarrow()
    return figures + _figures(f"{name}, no pyarrow,", size, took, answered, grown, most=2.5)


def _figures(
    name: str, size: float, took: list[float], answered: list[float], grown: list[float], *, most: float
) -> list[Figure]:
    return [
        Figure(f"{name} as context: call to first request", took, [], most),
        Figure(f"{name} as context: call to first answer", answered, [], 2 * most),
        Figure(f"{name} as context: memory, of {size:.0f} MiB", grown, [], 1.2 * size, "MiB"),
    ]


def _several(server: Server, value: Any) -> tuple[list[float], list[float], list[float]]:
    samples = [_once(server, value) for _ in range(RUNS)]
    took, answered, grown = map(list, zip(*samples, strict=True))
    return took, answered, grown


def _once(server: Server, value: Any) -> tuple[float, float, float]:
    """Ask of data; give the seconds to the first request, those to the code's answer, and the MiB then held."""
    server.script({"root": [CODE]})
    before, began = used_memory(), time.monotonic()
    with asked(server, value):
        answered = time.monotonic() - began
        return server.seen()["arrived"][0] - began, answered, used_memory() - before


def _without_pyarrow() -> tuple[str, float, list[float], list[float], list[float]]:
    """Measure the frame in an environment that has all that this one has, but no pyarrow."""
    with tempfile.TemporaryDirectory(prefix="rlm-bench-") as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        (target,) = Path(folder).glob("lib/python*/site-packages")
        # No symbolic links: the box of the kernels would not let them be followed out of this environment.
        shutil.copytree(_packages(), target, copy_function=_link, dirs_exist_ok=True, ignore=_left_out)
        here = Path(__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": str(here)}
        (target / "here.pth").write_text(f"{here}\n")
        done = subprocess.run(
            [Path(folder, "bin", "python"), "-m", "benchmarks.large_context"],
            stdout=subprocess.PIPE,
            env=environment,
            check=True,
        )
    name, size, took, answered, grown = json.loads(done.stdout)
    return name, size, took, answered, grown


def _packages() -> Path:
    import numpy as np

    return Path(np.__file__).parents[1]


def _left_out(folder: str, names: list[str]) -> list[str]:
    at_top = Path(folder) == _packages()
    return [name for name in names if at_top and name.startswith(("pyarrow", "__editable__"))]


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _frame() -> tuple[str, Any, float]:
    import numpy as np
    import pandas as pd

    rows = 10_000_000
    frame = pd.DataFrame({f"n{column}": np.arange(rows) * (column + 0.5) for column in range(5)})
    frame["name"] = pd.Series(np.char.add("customer ", np.arange(1000).astype(str))[np.arange(rows) % 1000])
    return "10M-row frame", frame, float(frame.memory_usage(index=False, deep=True).sum()) / MIB


def _text() -> tuple[str, Any, float]:
    return "1 GB string", "The quick brown fox. " * (10**9 // 21), 10**9 / MIB


def main() -> None:
    """Measure the frame alone and print the samples as JSON; pyarrow must be missing, here and in the kernels."""
    look = "import importlib.util\nFINAL(importlib.util.find_spec('pyarrow') is None)"
    with Server() as server:
        server.script({"root": [look]})
        with asked(server) as run:
            assert run.value is True, "the kernels have pyarrow"
        name, value, size = _frame()
        assert "pyarrow" not in sys.modules
        print(json.dumps([name, size, *_several(server, value)]))


if __name__ == "__main__":
    main()
