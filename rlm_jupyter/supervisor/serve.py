"""The program of the fork server: makes the package `_rlm` importable, and serves. Run by path, never imported.

Its configuration comes as JSON through stdin; see `forkserver`.
"""

import importlib
import json
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any


def cached_code(name: str, source: str) -> CodeType | None:
    """Returns the byte-code of a module of `_rlm` as Python keeps it beside the file that the source was read from.

    To compile all modules takes longer than to import IPython. None if there is no file of that source here.

    Args:
        name: of the module.
        source: of the module.
    """
    path = Path(__file__).parents[1].joinpath(*name.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    try:
        if path.read_text(encoding="utf-8") != source:
            return None
        code = SourceFileLoader(name, str(path)).get_code(name)
    except (OSError, ImportError, UnicodeDecodeError):
        return None
    return None if code is None else _renamed(code, f"<{name}>")


def _renamed(code: CodeType, filename: str) -> CodeType:
    """Let code, and the code of its functions, be known by another name: a kernel's traceback tells no path of ours."""
    inner = tuple(_renamed(one, filename) if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_filename=filename, co_consts=inner)


def serve() -> None:
    """Run the fork server in this process."""
    config = json.load(sys.stdin)
    importer: dict[str, Any] = {}
    exec(config.pop("importer"), importer)  # noqa: S102 - our own source
    sources = config.pop("sources")
    sys.meta_path.insert(0, importer["SourceImporter"](sources, cached_code))
    importlib.import_module("_rlm.supervisor.forkserver").main({**config, "preload": list(sources)})


if __name__ == "__main__":
    serve()
