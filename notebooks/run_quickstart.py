"""Execute the quickstart notebook with the demo model, and print each run's tree and answer: `make demo`.

The notebook beside this file is only read; `--save` writes it anew with its outputs, for a commit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

NOTEBOOK = Path(__file__).with_name("quickstart.ipynb")
_SETTINGS = ("RLM_MODEL", "RLM_SUB_MODEL", "RLM_MODEL_BASE_URL")


def execute(notebook: Path, directory: Path, *, display: str = "text") -> nbformat.NotebookNode:
    """Run a notebook in `directory`, where its logs then are.

    Args:
        notebook: is only read.
        directory: becomes the kernel's working directory.
        display: how runs are shown: `text` or `html`.

    Returns:
        The notebook with its outputs.

    Raises:
        CellExecutionError: a cell failed.
    """
    book = nbformat.read(notebook, as_version=4)
    env = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    env |= {
        "RLM_JUPYTER_DISPLAY": display,
        "IPYTHONDIR": str(directory / "ipython"),  # a user's own start-up files are no part of this
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else debugpy warns where Python's modules are frozen
    }
    client = NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(directory)}}
    )
    manager = client.create_kernel_manager()
    if os.name == "posix":  # quicker than TCP, and ipykernel does not warn of listeners in the network
        manager.transport = "ipc"
        manager.connection_file = str(directory / "kernel.json")
    client.execute(env=env)
    return book


def answers(book: nbformat.NotebookNode) -> list[str]:
    """Returns what the cells printed that are tagged `answer`: one for each run that was asked by a magic."""
    return [
        output.text.splitlines()[0]
        for cell in book.cells
        if "answer" in cell.metadata.get("tags", ())
        for output in cell.outputs
        if output.output_type == "stream"
    ]


def trees(directory: Path) -> list[str]:
    """Returns the tree of each run that was logged in `directory`, as text, in the order in which they began."""
    from rlm_jupyter.records import load
    from rlm_jupyter.views.text_tree import tree

    logs = [load(log).tree for log in (directory / "rlm_runs").glob("*.jsonl")]
    return [tree(state, with_card=False) for state in sorted(logs, key=lambda state: state.started)]


def report(book: nbformat.NotebookNode, directory: Path) -> int:
    """Print tree and answer of each run; give how many there were."""
    width = shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() else 0
    bold, plain = ("\033[1m", "\033[0m") if width else ("", "")
    found = answers(book)
    for number, tree in enumerate(trees(directory)[: len(found)]):
        lines = [line for line in tree.splitlines() if line]
        print("\n".join(_cut(line, width) for line in lines))
        answer = textwrap.fill(f"Answer: {found[number]}", width or 110, subsequent_indent="        ")
        print(f"{bold}{answer}{plain}\n")
    return len(found)


def _cut(line: str, width: int) -> str:
    return line if not width or len(line) <= width else line[: width - 1] + "…"


def save(book: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook with its outputs, without what changes from one machine to the next."""
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    book.metadata.pop("widgets", None)
    book.metadata["language_info"] = {"name": "python"}
    nbformat.write(book, path)


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write the notebook anew, with outputs")
    arguments = parser.parse_args()
    print("Running notebooks/quickstart.ipynb with the demo model: a script, no key, no network ...\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="rlm-demo-", ignore_cleanup_errors=True) as place:
        try:
            book = execute(NOTEBOOK, Path(place), display="html" if arguments.save else "text")
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            print(f"The notebook failed: {error}", file=sys.stderr)
            return 1
        if arguments.save:
            save(book, NOTEBOOK)
        if not report(book, Path(place)):
            print("The notebook ran, but no run was logged.", file=sys.stderr)
            return 1
    print("Open it yourself, with the live tree, Stop and Pull:  make lab")
    return 0


if __name__ == "__main__":
    sys.exit(main())
