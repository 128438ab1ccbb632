"""The program of the fork server: makes the package `_rlm` importable, and serves. Run by path, never imported.

Its configuration comes as JSON through stdin; see `forkserver`.
"""

import importlib
import json
import sys


def serve() -> None:
    """Run the fork server in this process."""
    config = json.load(sys.stdin)
    exec(config.pop("code"), {})  # noqa: S102 - our own statement
    importlib.import_module("_rlm.supervisor.forkserver").main(config)


if __name__ == "__main__":
    serve()
