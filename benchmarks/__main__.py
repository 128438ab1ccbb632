"""`python -m benchmarks [NAME ...]`: measure all, or those named; it takes about six minutes and 6 GB.

`python -m benchmarks peers` is a command of its own, with options: it installs other implementations.
"""

from __future__ import annotations

import importlib
import sys

ALL = (
    *("cold_start", "first_request", "turns", "batch", "sub_agents"),
    *("kernel_start", "many_kernels", "bridge_calls", "notebook_killed", "checkpoint"),
    *("shared_context", "large_context", "large_value", "long_notebook", "large_folder"),
    *("mapping", "hidden_columns", "replay_jumps"),
)


def main(names: list[str]) -> None:
    """Measure and print a table."""
    if names[:1] == ["peers"]:
        importlib.import_module("benchmarks.peers.command").main(names[1:])
        return
    unknown = sorted(set(names) - set(ALL))
    if unknown:
        sys.exit(f"There is no benchmark `{unknown[0]}`. There are: {', '.join(ALL)}, and `peers`.")
    for name in names or ALL:
        for figure in importlib.import_module(f"benchmarks.{name}").measure():
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
