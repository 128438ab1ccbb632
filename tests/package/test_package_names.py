"""The public names: whole, loaded when they are used, and quick to import."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rlm_jupyter
from rlm_jupyter import errors
from rlm_jupyter.errors import RLMError

SLOW = {
    "anywidget",
    "genai_prices",
    "ipywidgets",
    "jupyter_client",
    "numpy",
    "openai",
    "pandas",
    "pyarrow",
    "pydantic",
    "rlm_jupyter.engine",
    "rlm_jupyter.rlm",
    "rlm_jupyter.settings",
    "rlm_jupyter.views",
    "zmq",
}


@pytest.mark.parametrize("name", rlm_jupyter.__all__)
def test_every_public_name_is_there_and_is_listed(name):
    assert getattr(rlm_jupyter, name) is not None
    assert name in dir(rlm_jupyter)


def test_every_exception_is_public():
    known = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, RLMError)}
    assert known <= set(rlm_jupyter.__all__)


def test_a_public_name_is_the_one_of_its_room():
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.rlm import RLM
    from rlm_jupyter.settings import Limits

    assert (rlm_jupyter.RLM, rlm_jupyter.Run, rlm_jupyter.Limits) == (RLM, Run, Limits)


def test_the_version_is_that_of_the_package_metadata():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert rlm_jupyter.__version__ == project["version"]


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="`Rlm`"):
        rlm_jupyter.Rlm  # noqa: B018


def imported_by(code):
    """Run code in a fresh Python; give the modules that it imported, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}, done.stdout, done.stderr


def test_import_loads_nothing_slow():
    modules, printed, _errors = imported_by("import rlm_jupyter; dir(rlm_jupyter)")
    assert "rlm_jupyter" in modules
    assert not {name for name in modules if name in SLOW or name.partition(".")[0] in SLOW}
    assert printed == ""


def test_load_ext_prints_nothing_and_imports_nothing_slow():
    modules, printed, stderr = imported_by(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from traitlets.config import Config\n"
        "import sys\n"
        "config = Config(); config.HistoryManager.enabled = False\n"
        "shell = InteractiveShell.instance(config=config)\n"
        "print('before'); print('before', file=sys.stderr)\n"
        "shell.run_line_magic('load_ext', 'rlm_jupyter')\n"
        "assert shell.find_cell_magic('rlm')"
    )
    assert "rlm_jupyter.magics.extension" in modules
    assert not {name for name in modules if name in SLOW or name.partition(".")[0] in SLOW}
    assert printed == "before\n"
    after = stderr.split("\nbefore\n")[1].splitlines()
    assert [line for line in after if not line.startswith("import time:")] == []
