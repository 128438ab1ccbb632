"""Execute the quickstart notebook and print the tree and the answer of each run: what `make demo` shows."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOK = Path(__file__).with_name("quickstart.ipynb")


def execute(notebook: Path, directory: Path) -> nbformat.NotebookNode:
    """Run a notebook in `directory`, where its logs then are; give it with its outputs."""
    book = nbformat.read(notebook, as_version=4)
    client = NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(directory)}})
    client.execute(env={**os.environ, "RLM_JUPYTER_DISPLAY": "text", "IPYTHONDIR": str(directory / "ipython")})
    return book


def report(directory: Path) -> int:
    """Print the tree of each run that was logged in `directory`; give how many there were."""
    from rlm_jupyter.records import load
    from rlm_jupyter.views.text import text_tree

    logs = sorted((directory / "rlm_runs").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    for log in logs:
        print(text_tree(load(log).tree), end="\n\n")
    return len(logs)


def main() -> int:
    """Run it all."""
    print("The quickstart runs with the embedded demo model: a script, no key, no network.\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="rlm-demo-", ignore_cleanup_errors=True) as place:
        try:
            book = execute(NOTEBOOK, Path(place))
        except CellExecutionError as error:
            print(error, file=sys.stderr)
            return 1
        report(Path(place))
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and 'print(' in cell.source and '["answer"]' in cell.source:
                print("Answer:", output.text.strip())
    print("\nOpen it yourself, with the live tree:  make lab")
    return 0


if __name__ == "__main__":
    sys.exit(main())
