"""The house: which room may know which, how long a file may be, and that what is public is documented."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "rlm_jupyter"

# From the ground up. A room may import from the floors below its own, and within itself.
FLOORS = [
    {"errors", "forks", "options"},
    {"option_fields", "option_parser"},
    {"sandbox"},
    {"settings", "background"},
    {"values", "delimited"},
    {"models", "tools", "kernels", "files"},
    {"engine"},
    {"records", "views"},
    {"process", "asking"},
    {"rlm"},
    {"doctor"},
    {"magics", "cli"},
    {"__init__"},
]
# Rooms that may know only a part of a lower one.
ONLY = {
    ("records", "engine"): {"rlm_jupyter.events.events", "rlm_jupyter.events.tree_state"},
    ("views", "engine"): {"rlm_jupyter.events.events", "rlm_jupyter.events.tree_state"},
}
# Each of these is one process or one object to the others, and is reached through it.
SEPARATE = [("models", "tools"), ("models", "kernels"), ("tools", "kernels"), ("magics", "cli")]
MOST_LINES = 600


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, path


MODULES = dict(_modules())


def _checks_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _walk(node):
    """All nodes but those under `if TYPE_CHECKING`, which no program ever runs."""
    for child in ast.iter_child_nodes(node):
        if not _checks_types(child):
            yield child
            yield from _walk(child)


def _resolve(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, "imports are absolute, so that they can be searched"
    whole = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else node.module for name in whole]


def _imports(path):
    nodes = _walk(ast.parse(path.read_text("utf-8")))
    names = {n for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for n in _resolve(node)}
    return {name for name in names if name.startswith("rlm_jupyter.")}


IMPORTS = {name: _imports(path) for name, path in MODULES.items()}


def _room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _floor(module):
    return next(number for number, rooms in enumerate(FLOORS) if _room(module) in rooms)


def test_every_module_is_in_a_room_of_the_design():
    assert {_room(module) for module in MODULES} <= set().union(*FLOORS)


def test_imports_go_down_and_never_up():
    wrong = [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in names
        if _room(name) != _room(module) and _floor(name) >= _floor(module)
    ]
    assert not wrong


def test_records_and_views_know_only_the_events_and_the_state():
    wrong = [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in names
        if name not in ONLY.get((_room(module), _room(name)), {name})
    ]
    assert not wrong


@pytest.mark.parametrize(("one", "other"), SEPARATE)
def test_rooms_of_one_floor_do_not_know_each_other(one, other):
    pairs = {(_room(module), _room(name)) for module, names in IMPORTS.items() for name in names}
    assert not {(one, other), (other, one)} & pairs


def test_no_module_imports_itself_by_way_of_others():
    done, path = set(), []

    def visit(module):
        assert module not in path, f"a circle: {' → '.join([*path[path.index(module) :], module])}"
        if module in done:
            return
        path.append(module)
        for name in sorted(IMPORTS.get(module, ())):
            visit(name)
        path.pop()
        done.add(module)

    for module in MODULES:
        visit(module)


def test_no_file_is_long_and_none_is_a_drawer_for_everything():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in MODULES.values()
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
    assert not {path.stem for path in MODULES.values()} & {"utils", "util", "helpers", "misc", "common"}


def test_every_module_says_what_it_is_for():
    silent = [
        name for name, path in MODULES.items() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert not silent


# ---- what is public is documented


def _load_reference():
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_says():
    reference = _load_reference()
    assert reference.PAGE.read_text("utf-8") == reference.page(), "run `make docs`"


def test_every_public_name_setting_option_and_command_is_in_the_reference():
    import rlm_jupyter
    from rlm_jupyter.engine.agent.handle import AgentHandle
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.arguments import CELL, options
    from rlm_jupyter.magics.command_registry import COMMANDS
    from rlm_jupyter.settings import Limits, Settings

    page = _load_reference().page()
    members = [name for kind in (Run, AgentHandle) for name in dir(kind) if not name.startswith("_")]
    fields = [*Limits.model_fields, *Settings.model_fields]
    commands = [f"%rlm {name}" for name in COMMANDS]
    exported = [name for name in rlm_jupyter.__all__ if name[0].isupper()]
    names = [*members, *fields, *commands, *options(CELL), *exported]
    assert [name for name in names if f"`{name}" not in page and f"{name}`" not in page] == []


def test_no_document_links_to_a_file_that_is_not_there():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{path.name}: {target}"
        for path in documents
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8"))
        if not (path.parent / target).exists()
    ]
    assert not broken
