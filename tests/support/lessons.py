"""The lessons of `notebooks/lessons`, executed in real kernels; what their cells print."""

import re
import sys
from pathlib import Path

import nbformat
from notebook_proofs import proofs, prove_runs

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FOLDER = NOTEBOOKS / "lessons"
GONE = 5
"""A lesson in which an agent reads a file that the same cell deletes afterwards: its proof finds another error."""


def execute(number, directory):
    """Returns the executed lesson of a number; the code behind the answers of its runs is proved meanwhile."""
    prove_runs(directory)
    sys.path.insert(0, str(NOTEBOOKS))
    try:
        from run_lessons import execute_lesson
    finally:
        sys.path.remove(str(NOTEBOOKS))
    (lesson,) = FOLDER.glob(f"{number}_*.ipynb")
    book = execute_lesson(lesson, directory)
    found = proofs(directory)
    assert found
    assert all(proof["verdict"] in ("reproduced", "not tried") for proof in found if number != GONE), found
    assert not any(proof["verdict"] == "failed" for proof in found), found
    return book


def printed(book, begin):
    """Returns what the only cell printed or showed that has a line with this beginning."""
    (cell,) = [
        cell
        for cell in book.cells
        if cell.cell_type == "code" and any(line.startswith(begin) for line in cell.source.splitlines())
    ]
    return "".join(output.get("text") or output.data.get("text/plain", "") for output in cell.outputs)


def space_of(book, *begins):
    """Runs the cells here that begin like this, and returns their variables."""
    space = {}
    for cell in book.cells:
        if cell.cell_type == "code" and cell.source.startswith(begins):
            exec(re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE), space)
    return space


def committed():
    """Returns the lessons as they stand, by name."""
    return {path.name: nbformat.read(path, as_version=4) for path in sorted(FOLDER.glob("*.ipynb"))}
