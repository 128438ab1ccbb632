"""The versions of Jupyter's own packages with which agents' kernels were tried: the one table of them."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

TRIED = {
    "ipykernel": ("6.29", "7.4"),
}
"""Package → the oldest and the newest version with which all tests pass. `pyproject.toml` asks for the oldest one."""


def tried(package: str) -> str:
    """Returns which version of a package is installed, and how that compares with those that were tried.

    Args:
        package: a key of `TRIED`.
    """
    oldest, newest = TRIED[package]
    try:
        found = version(package)
    except PackageNotFoundError:
        return f"{package} is missing; tried: {oldest} to {newest}"
    if numbers(found) > numbers(newest):
        return f"{package} {found}, which is newer than what was tried: {oldest} to {newest}"
    if numbers(found) < numbers(oldest):
        return f"{package} {found}, which is older than what was tried: {oldest} to {newest}"
    return f"{package} {found}; tried: {oldest} to {newest}"


def numbers(text: str) -> tuple[int, int]:
    """Read the first two numbers of a version; patch releases repair, and are not told apart.

    Args:
        text: such as `7.4.0`, `8.0rc1`.
    """
    first, second, *_ = [*re.findall(r"\d+", ".".join(text.split(".")[:2])), "0", "0"]
    return int(first), int(second)
