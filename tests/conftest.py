"""What all tests share."""

import signal
import sys
from pathlib import Path

import pytest

# With --import-mode=importlib the tests' directory is not on the path; helper modules are imported by name.
sys.path.append(str(Path(__file__).parent))

from lab import browser, lab, notebook, page  # noqa: F401  fixtures of the browser tests
from openai_server import OpenAIServer
from programs import pytest_runtest_setup  # noqa: F401  fails tests for want of a program
from widget_page import alone  # noqa: F401  a widget without a notebook
from widget_parts import browse  # noqa: F401  a widget over a fake comm

# A shell that starts the tests in the background lets them ignore SIGINT, of which some of them tell.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def openai_server():
    """A started `OpenAIServer`; set its `script` (a list, or a function of the request's JSON) before use."""
    with OpenAIServer() as server:
        yield server
