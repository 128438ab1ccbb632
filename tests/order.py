"""How tests are collected, and which begin first where several processes share them: the long ones, so that none is left for the end."""

import gc
import json
from collections.abc import Generator, Iterable
from pathlib import Path, PurePosixPath

import pytest

RECORD = Path(__file__).parent / "durations.json"
"""What `python tests/flaky.py -n 6 --durations-file tests/durations.json` wrote: seconds of each file, longest first."""
SECONDS: dict[str, float] = json.loads(RECORD.read_text("utf-8"))
USUAL = 20.0
"""Of a file that is not in the record yet, so that it neither comes last nor before those that are known to be long."""
SPLIT = ("test_ordinary_user",)
"""Files of a few long tests, each of which may run in a process of its own; others stay whole, with their fixtures."""
BROWSER = "browser"
"""The directory whose files share a browser and a JupyterLab: as many processes start these as there are shares."""
SHARES = 3


def seconds(file: str) -> float:
    """Returns how long a file takes, as far as that is known; `file` is its path from the root of the checkout."""
    return SECONDS.get(file, USUAL)


def in_browser(file: str) -> bool:
    """Whether a file is one of the browser's."""
    return PurePosixPath(file).parent.name == BROWSER


def shares(files: Iterable[str]) -> dict[str, int]:
    """Divides files into `SHARES` that take about as long, each file to the one that is the shortest so far."""
    totals = [0.0] * SHARES
    place = {}
    for file in sorted(files, key=lambda file: (-seconds(file), file)):
        place[file] = min(range(SHARES), key=lambda share: totals[share])
        totals[place[file]] += seconds(file)
    return place


def file_of(nodeid: str) -> str:
    """Returns the path of a test's file."""
    return nodeid.partition("::")[0]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects thousands of tests, which stay, without looking for garbage among them: that took half of the time.

    Nor does any later collection look at them: each would, those that a test asks for included.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the browser's files first, of which a process runs many in a row, and then the long ones."""

    def rank(item: pytest.Item) -> tuple[bool, float]:
        file = file_of(item.nodeid)
        return (not in_browser(file), -seconds(file))

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """Gives out whole files, the long ones first, with `--dist loadfile`; the tests of `SPLIT` one by one.

    The browser's files go out in `SHARES`, for a process that runs one has started what the others need too.
    """
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        places: dict[str, int] | None = None

        def _split_scope(self, nodeid: str) -> str:
            scope: str = super()._split_scope(nodeid)
            if in_browser(scope):
                if self.places is None:
                    self.places = shares({file for file in map(file_of, self.collection) if in_browser(file)})
                return f"{BROWSER} {self.places[scope]}"
            return nodeid if scope.rpartition("/")[2].startswith(SPLIT) else scope

    # By itself it begins with the files of the most tests: those of a few long ones would come last.
    config.option.loadscopereorder = False
    return Scheduling(config, log)
