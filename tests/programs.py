"""The outside programs of tests/programs.txt, and the line with which a test fails for want of one.

As a program, `python tests/programs.py NAME ...` fails with these lines where some are missing.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

LIST = Path(__file__).with_name("programs.txt")


@dataclass(frozen=True)
class Program:
    """One line of the list.

    Attributes:
        names: any of these programs will do; the first is how tests call it.
        oldest: the oldest major version that will do; 0 is any.
        index: `apt` or `pypi`.
        package: what to install from there.
        purpose: what the program is for.
    """

    names: tuple[str, ...]
    oldest: int
    index: str
    package: str
    purpose: str

    @classmethod
    def read(cls, line: str) -> "Program":
        """Returns what a line of the list declares."""
        program, source, purpose = line.split(None, 2)
        names, _, oldest = program.partition(">=")
        index, _, package = source.partition(":")
        return cls(tuple(names.split("|")), int(oldest or 0), index, package, purpose)

    def find(self) -> str | None:
        """Returns the path of the program on `PATH`, or None."""
        found = (shutil.which(name) for name in self.names)
        return next((path for path in found if path and _major(path, self.oldest) >= self.oldest), None)

    @property
    def advice(self) -> str:
        """What to tell who misses it."""
        version = f" in version {self.oldest} or newer" if self.oldest else ""
        command = "apt-get install" if self.index == "apt" else "pip install"
        return (
            f"`{self.names[0]}` is not installed{version}. It is for {self.purpose}: "
            f"run `.ci/install .venv/bin`, or `{command} {self.package}`"
        )


def _major(path: str, oldest: int) -> int:
    if not oldest:
        return 0
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return int((re.match(r"\D*(\d+)", said) or [0, 0])[1])


def _read() -> list[Program]:
    lines = map(str.strip, LIST.read_text("utf-8").splitlines())
    return [Program.read(line) for line in lines if line and not line.startswith("#")]


PROGRAMS = {program.names[0]: program for program in _read()}


def require(name: str) -> str:
    """Returns the path of a program of the list; without it, the test fails and says what to install."""
    path = PROGRAMS[name].find()
    if path is None:
        pytest.fail(PROGRAMS[name].advice, pytrace=False)
    return path


def missing(name: str) -> bool:
    """Whether a program of the list is not there."""
    return PROGRAMS[name].find() is None


needs_program = pytest.mark.needs_program
"""`needs_program("bwrap")` fails a test, also one case of it, before its fixtures, where that program is missing."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fails a test for want of the programs that it is marked with."""
    for mark in item.iter_markers("needs_program"):
        for name in mark.args:
            require(name)


def main(names: list[str]) -> int:
    """Prints what to install for those of these programs that are missing; returns 1 if any is."""
    lines = [PROGRAMS[name].advice for name in names if missing(name)]
    print(*lines, sep="\n", end="\n" * bool(lines), file=sys.stderr)  # noqa: T201 - scripts ask for it
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
