"""The layers: which package may import which, what travels, how long a file may be, and what must be documented."""

import ast
import importlib.util
import re
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "rlm_jupyter"

# From the bottom up. A package may import from the layers below its own, and within itself. Imports under
# `TYPE_CHECKING` count too: who reads a type must know it.
LAYERS = [
    {"errors"},
    {"text", "system", "background", "forks"},
    {"security", "import_pause"},
    {"options"},
    {"sandbox_settings", "providers"},
    {"settings"},
    {"events", "values"},
    {"databases"},
    {"data_files"},
    {"guest"},  # runs in an agent's kernel
    {"supervisor"},  # runs in the fork server
    {"models", "tools", "kernels"},
    {"demo_model", "answer_code", "diagnosis", "user_questions"},
    {"engine"},
    {"records", "views", "estimates"},
    {"run_setup", "registry"},
    {"wiring"},
    {"table_verbs"},
    {"conversation"},
    {"rlm"},
    {"diagnostics", "export_file", "mcp_server", "jupyter_mcp_tools", "run_view", "tuning"},
    {"web_server"},
    {"magics", "cli"},
    {"__init__"},
]
# Packages that do not know each other although the layers would allow it: views and records see events alone, and
# models, tools and kernels are reached by the engine only.
SEPARATE = [
    ("views", "engine"),
    ("records", "engine"),
    ("models", "tools"),
    ("models", "kernels"),
    ("tools", "kernels"),
    ("magics", "cli"),
]
# What travels as source, below the root `_rlm`: it may import the standard library, itself and what stands here.
TRAVELS = {
    "rlm_jupyter.guest": (
        "rlm_jupyter.values.codec",
        "rlm_jupyter.values.describe",
        "rlm_jupyter.values.files",
    ),
    "rlm_jupyter.supervisor": ("rlm_jupyter.guest",),
    "rlm_jupyter.values.codec": (),
    "rlm_jupyter.values.describe": ("rlm_jupyter.values.codec",),
    "rlm_jupyter.values.files": ("rlm_jupyter.values.codec", "rlm_jupyter.values.describe"),
}
# The one module that is about the classes of ipykernel, and is imported in the fork server only.
USES_IPYKERNEL = {
    f"rlm_jupyter.guest.ipykernel_hooks.{name}"
    for name in ("threadless_app", "prebuilt_app", "heartbeat_on_demand", "rebuilt_app")
}
MOST_LINES = 600
MOST_IN_A_CIRCLE = 5


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, path


MODULES = dict(_modules())


def _checks_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _walk(node, *, types):
    """All nodes; without `types`, not those under `if TYPE_CHECKING`, which no program ever runs."""
    for child in ast.iter_child_nodes(node):
        if types or not _checks_types(child):
            yield child
            yield from _walk(child, types=types)


def _traveller(module):
    return next((root for root in TRAVELS if module == root or module.startswith(f"{root}.")), None)


def _resolve(module, node):
    """The full names that an import statement is about."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    source = node.module or ""
    if node.level:
        parts = module.split(".")
        if MODULES[module].name != "__init__.py":
            parts = parts[:-1]
        source = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
    whole = [f"{source}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else source for name in whole]


def _statements(module, *, types):
    nodes = _walk(ast.parse(MODULES[module].read_text("utf-8")), types=types)
    return [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]


@cache
def _imports(*, types):
    """Module to the modules of this package that it imports; with `types`, under `TYPE_CHECKING` too."""
    found = {}
    for module in MODULES:
        names = {name for node in _statements(module, types=types) for name in _resolve(module, node)}
        found[module] = {name for name in names if name in MODULES} - {module, "rlm_jupyter"}
    return found


def _room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _layer(module):
    return next(number for number, rooms in enumerate(LAYERS) if _room(module) in rooms)


def test_every_module_is_in_a_layer():
    assert {_room(module) for module in MODULES} <= set().union(*LAYERS)


def test_imports_go_down_and_never_up():
    wrong = [
        f"{module} imports {name}"
        for module, names in _imports(types=True).items()
        for name in names
        if _room(name) != _room(module) and _layer(name) >= _layer(module)
    ]
    assert not wrong


@pytest.mark.parametrize(("one", "other"), SEPARATE)
def test_packages_that_do_not_know_each_other(one, other):
    pairs = {(_room(module), _room(name)) for module, names in _imports(types=True).items() for name in names}
    assert not {(one, other), (other, one)} & pairs


def test_what_travels_imports_the_standard_library_and_itself_only():
    wrong = []
    for module in MODULES:
        root = _traveller(module)
        if root is None:
            continue
        ours = (root, *TRAVELS[root])
        for node in _statements(module, types=True):
            for name in _resolve(module, node):
                inside = any(name == one or name.startswith(f"{one}.") for one in ours)
                # A module that exists for ipykernel; a function may use a library that is there, and does without.
                library = module in USES_IPYKERNEL or node.col_offset > 0
                outside = name.partition(".")[0] in sys.stdlib_module_names or (
                    library and not name.startswith("rlm_jupyter")
                )
                if not inside and not outside:
                    wrong.append(f"{module} imports {name}")
    assert not wrong


def test_what_travels_is_imported_relatively_and_all_else_by_its_full_name():
    wrong = []
    for module in MODULES:
        for node in _statements(module, types=True):
            names = _resolve(module, node)
            ours = any(name.startswith("rlm_jupyter") for name in names)
            if ours and (_traveller(module) is not None) != bool(getattr(node, "level", 0)):
                wrong.append(f"{module}, line {node.lineno}")
    assert not wrong


def _circles(graph):
    """The strongly connected parts of more than one module (Tarjan's algorithm)."""
    number, low, stack, found = {}, {}, [], []

    def visit(module):
        number[module] = low[module] = len(number)
        stack.append(module)
        for name in sorted(graph[module]):
            if name not in number:
                visit(name)
                low[module] = min(low[module], low[name])
            elif name in stack:
                low[module] = min(low[module], number[name])
        if low[module] == number[module]:
            part = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(part) > 1:
                found.append(sorted(part))

    for module in graph:
        if module not in number:
            visit(module)
    return found


def test_the_search_for_circles_finds_them():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(_circles(graph)) == [["a", "b", "c"], ["d", "e"]]


def test_no_module_imports_itself_by_way_of_others():
    assert _circles(_imports(types=False)) == []


def test_circles_of_types_are_small():
    assert [part for part in _circles(_imports(types=True)) if len(part) > MOST_IN_A_CIRCLE] == []


def test_no_stem_names_two_modules():
    """A file is found by its name. `api` is the front of a package of values."""
    stems = [path.stem for path in MODULES.values() if path.stem not in {"__init__", "api"}]
    assert sorted({stem for stem in stems if stems.count(stem) > 1}) == []


def test_no_file_is_long_and_none_is_a_drawer_for_everything():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in MODULES.values()
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
    assert not {path.stem for path in MODULES.values()} & {"utils", "util", "helpers", "misc", "common"}


# What a process asks of Linux stands in one module; the guard of MCP servers is executed by its path, alone.
ASKS_LINUX = {"rlm_jupyter.guest.linux_process", "rlm_jupyter.tools.mcp_guard_process"}
# Where characters were cut is written by one function here, and by one in what travels; nothing reads it back,
# but the redactor, which takes out more beside it.
SAYS_WHAT_WAS_CUT = {"rlm_jupyter.text.shorten", "rlm_jupyter.values.describe.short_text"}


def _strings(module):
    """The texts in a module's code, docstrings and comments apart."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in notes]


def test_properties_of_processes_are_set_in_one_place():
    asks = re.compile(r"^_?PR_SET_.* = |(?:CDLL\(.*\)|libc)\.prctl\(", re.MULTILINE)
    assert {name for name, path in MODULES.items() if asks.search(path.read_text("utf-8"))} == ASKS_LINUX


def test_what_was_cut_is_told_in_one_wording_and_never_read_back():
    found = {name for name in MODULES if any("characters cut" in str(text) for text in _strings(name))}
    assert found == SAYS_WHAT_WAS_CUT


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
