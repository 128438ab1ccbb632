"""One browser, one JupyterLab and one page of it for all browser tests of a process: to start them takes longer than most tests.

They end with the last file of this directory, not with the session: Playwright's loop runs in this thread as long as
the browser, and tests elsewhere have loops of their own.
"""

import pytest
from lab import Lab, LeftPage, launched, notebook, page  # noqa: F401  fixtures
from widget_page import alone, from_disk  # noqa: F401  a widget without a notebook, a file without a server


@pytest.fixture(scope="package")
def browser():
    """A browser."""
    with launched() as running:
        yield running


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    """A JupyterLab."""
    with Lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="package")
def left_page(browser):
    """The page that tests leave to each other."""
    return LeftPage(browser)
