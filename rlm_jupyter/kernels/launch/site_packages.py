"""Where the packages of this Python are installed, and whether that has changed since."""

from __future__ import annotations

import os
import site
import sys
from contextlib import suppress


def site_directories() -> list[str]:
    """List the directories of installed packages of this Python, the user's own included where in use."""
    found = [path for path in site.getsitepackages() if path in sys.path]
    if site.ENABLE_USER_SITE and site.getusersitepackages() in sys.path:
        found.append(site.getusersitepackages())
    return found


def installed_packages() -> tuple[tuple[str, int], ...]:
    """Returns what is another value as soon as a package was installed, upgraded or removed.

    Each of these renames a directory `*.dist-info`, which changes the time of the directory that holds it.
    """
    found = []
    for directory in site_directories():
        with suppress(OSError):
            found.append((directory, os.stat(directory).st_mtime_ns))  # noqa: PTH116 - a path as text is enough
    return tuple(found)
