"""What all tests share."""

import signal
import sys
from pathlib import Path

import pytest

# With --import-mode=importlib the tests' directory is not on the path; helper modules are imported by name.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "support")]

from openai_server import OpenAIServer
from order import pytest_collection, pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401
from programs import pytest_runtest_setup  # noqa: F401  fails tests for want of a program
from widget_parts import browse  # noqa: F401  a widget over a fake comm

# jsonschema, which nbformat and JupyterLab import, compiles a grammar with it for one format that nothing here checks:
# a second of each process, and minutes of a busy machine. Without it jsonschema leaves that format out.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# A shell that starts the tests in the background lets them ignore SIGINT, of which some of them tell.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def times_of_a_busy_machine():
    """Kernels have ten times as long as a user's to end an interrupted cell, or to tell of its variables.

    Other tests run beside. Without this, a kernel that was interrupted is killed for being slow, and a test of
    interrupts is one of the machine's speed; tests of that very killing set a short time of their own.
    """
    from rlm_jupyter.kernels import agent_kernel

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent_kernel, "GRACE_SECONDS", 10 * agent_kernel.GRACE_SECONDS)
        patch.setattr(agent_kernel, "_TOLD_SECONDS", 10 * agent_kernel._TOLD_SECONDS)
        yield


@pytest.fixture
def openai_server():
    """A started `OpenAIServer`; set its `script` (a list, or a function of the request's JSON) before use."""
    with OpenAIServer() as server:
        yield server
