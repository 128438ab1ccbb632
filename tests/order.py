"""How tests are collected, and which begin first where several processes share them: the long ones, so that none is left for the end."""

import gc
from collections.abc import Generator

import pytest

LONG = (
    "test_ordinary_user",
    "test_package_wheel",
    "test_kernels_hostile",
    "test_kernels_cells",
    "test_browser_",
    "test_kernels_",
    "test_gateway_",
    "test_supervisor",
    "test_bridge_",
)
"""Beginnings of the names of files, the longest first; all others come after them."""
SPLIT = ("test_ordinary_user",)
"""Files of a few long tests, each of which may run in a process of its own; others stay whole, with their fixtures."""


def rank(item: pytest.Item) -> int:
    """Returns the place of a test's file among those that run; files of the same place keep their order."""
    name = item.path.name
    return next((place for place, long in enumerate(LONG) if name.startswith(long)), len(LONG))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects thousands of tests, which stay, without looking for garbage among them: that took half of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the long files first."""
    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """Gives out whole files in the order of `LONG`, and the tests of `SPLIT` one by one, with `--dist loadfile`."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            scope: str = super()._split_scope(nodeid)
            return nodeid if scope.rpartition("/")[2].startswith(SPLIT) else scope

    # By itself it begins with the files of the most tests: those of a few long ones would come last.
    config.option.loadscopereorder = False
    return Scheduling(config, log)
