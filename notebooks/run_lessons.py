"""Execute the lessons, without a key or a network; `--save` writes them anew with their outputs, for a commit."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from run_quickstart import execute, save

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = Path(__file__).with_name("lessons")
LESSONS = sorted(FOLDER.glob("*.ipynb"))


def execute_lesson(lesson: Path, directory: Path, *, display: str = "text") -> NotebookNode:
    """Run a lesson in `directory`, with the recorded runs that it reads beside it; give it with its outputs.

    Raises:
        CellExecutionError: a cell failed.
    """
    shutil.copytree(FOLDER / "recorded", directory / "recorded")
    return execute(lesson, directory, display=display)


def main() -> int:
    """Run all lessons, or those whose numbers are given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", help="of the lessons, such as 1 4")
    parser.add_argument("--save", action="store_true", help="write them anew, with outputs")
    arguments = parser.parse_args()
    for lesson in LESSONS:
        if arguments.numbers and lesson.name[0] not in arguments.numbers:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="rlm-lesson-", ignore_cleanup_errors=True) as place:
            book = execute_lesson(lesson, Path(place), display="html" if arguments.save else "text")
        if arguments.save:
            save(book, lesson)
        print(f"{lesson.name}: {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
