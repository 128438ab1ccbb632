"""What is published: the wheel's content, and that it works on the oldest versions it declares, without Node."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLDEST = ROOT / ".venvs" / f"oldest-{sys.version_info.major}.{sys.version_info.minor}"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

pytestmark = pytest.mark.timeout(900)


def run(*command, cwd, **env):
    """Run a command that finds no Node, and no package but its own; give what it printed."""
    kept = {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "LC_", "LANG", "HOME"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, "PATH": "/nonexistent", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel made of it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, ROOT, cwd=out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def test_the_wheel_has_the_bundle_the_types_and_the_licence_and_nothing_of_the_workshop(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
        metadata = next(wheel.read(name).decode() for name in names if name.endswith("/METADATA"))
        entry_points = next(wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
        script = wheel.read("rlm_jupyter/views/static/widget.js")
    tops = {name.split("/")[0] for name in names}
    assert tops == {"rlm_jupyter", f"rlm_jupyter-{PROJECT['version']}.dist-info"}
    assert {"rlm_jupyter/py.typed", "rlm_jupyter/views/static/widget.css"} <= names
    assert script == (ROOT / "rlm_jupyter/views/static/widget.js").read_bytes()
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rlm_jupyter").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "Requires-Python: >=3.11" in metadata
    assert "rlm-fork = rlm_jupyter.kernels.launch.fork_provisioner:ForkProvisioner" in entry_points


def test_the_source_distribution_can_be_built_and_tested(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {
        "pyproject.toml",
        "js/package-lock.json",
        "js/src/index.ts",
        "tests/support/smoke.py",
        "Makefile",
    } <= names
    assert not [name for name in names if "node_modules" in name or name.startswith((".venv", ".git/"))]


def test_versions_agree():
    import rlm_jupyter

    assert rlm_jupyter.__version__ == PROJECT["version"]


def _oldest_versions():
    pins = [re.sub(r">=", "==", dependency) for dependency in PROJECT["dependencies"]]
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", pin) for pin in pins), pins
    return pins


def _environment(pins):
    """A Python with the oldest versions of all that is needed; made once, and again when a version changes."""
    python = OLDEST / "bin" / "python"
    stamp, key = OLDEST / "pins", hashlib.sha256("\n".join(pins).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != key:
        venv.create(OLDEST, clear=True, with_pip=True)
        run(python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *pins, cwd=OLDEST)
        stamp.write_text(key)
    return python


@pytest.mark.oldest
def test_the_wheel_works_on_the_oldest_versions_it_declares_without_node(built, tmp_path):
    pins = _oldest_versions()
    python = _environment(pins)
    # No dependency is installed now: what the wheel asks for must be there already.
    quiet = ("-qq", "--disable-pip-version-check", "--force-reinstall", "--no-deps")
    run(python, "-m", "pip", "install", *quiet, built[1], cwd=tmp_path)
    run(python, "-m", "pip", "check", cwd=tmp_path)
    out = run(
        python, "-W", "error::DeprecationWarning:rlm_jupyter", ROOT / "tests/support/smoke.py", cwd=tmp_path
    )
    told = json.loads(out.partition("TOLD ")[2])
    pinned = dict(pin.split("==") for pin in pins)
    for name, found in told["versions"].items():
        if name in pinned:
            assert found.startswith(pinned[name]), name
    assert told["package"].startswith(str(OLDEST))
    assert told["bundle"]
    assert (told["supplier"], told["status"]) == ("Elm", "done")
    assert told["pulled"] == ["DataFrame", ["date", "supplier", "refunded"]]
    assert told["agents"] == 5
    assert list(tmp_path.iterdir()) == []
