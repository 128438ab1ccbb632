"""Modules that a cell uses without an import are imported before it runs, and the agent, the tree and the log are told."""

import builtins
import importlib

import pytest
import pytest_asyncio
from kernel_parts import opened, shown, started
from run_parts import asking
from scripts import question_of

from rlm_jupyter.engine.agent_requests.added_imports import told_imports
from rlm_jupyter.events import events as ev
from rlm_jupyter.guest.missing_imports import MODULES, OBJECTS, STATEMENTS, unbound_names
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load

WAYS = {"forked": ("auto", "auto"), "stock": ("stock", "none")}


def names(code, **namespace):
    return unbound_names(compile(code, "<cell>", "exec"), namespace)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("re.findall('a', 'b')", {"re": {"findall"}}),
        ("x = re.sub\nre.match", {"re": {"sub", "match"}}),
        ("Counter([1])", {"Counter": set()}),
        ("def f(n):\n    return math.sqrt(n)", {"math": {"sqrt"}}),
        ("def f(n):\n    return [re.sub('a', '', x) for x in n]", {"re": {"sub"}}),
        ("f = lambda n: json.loads(n)", {"json": {"loads"}}),
        ("class A:\n    x = defaultdict(int)", {"defaultdict": set()}),
        ("class A:\n    re = 1\nre.sub", {"re": {"sub"}}),
        ("def f(t: pd.DataFrame) -> List[str]: pass", {"pd": {"DataFrame"}, "List": set()}),
        ("def f():\n    import re\n    re.sub\ndef g():\n    re.sub", {"re": {"sub"}}),
        ("if x:\n    for n in x:\n        time.sleep(n)", {"time": {"sleep"}}),
        ("re.x = 1\ndel json.y", {"re": set(), "json": set()}),
        # bound by the cell, wherever that is
        ("import re\nre.sub", {}),
        ("re.sub\nimport re", {}),
        ("try:\n    import re\nexcept ImportError:\n    pass\nre.sub", {}),
        ("from re import sub as re\nre.sub", {}),
        ("for re in x: re.sub", {}),
        ("with x as re: re.sub", {}),
        ("(re := 1); re.sub", {}),
        ("[(re := n) for n in x]\nre.sub", {}),
        ("def re(): pass\nre.sub", {}),
        ("class re: pass\nre.sub", {}),
        ("def f():\n    global re\n    re = 1\nre.sub", {}),
        ("match x:\n    case {'a': re}: re.sub", {}),
        ("try: x\nexcept E as re: re.sub", {}),
        ("from re import *\nre.sub", {}),
        # not the global of that name
        ("[re.sub for re in x]", {}),
        ("{re: re.sub for re in x}", {}),
        ("def f(re): return re.sub", {}),
        ("def f():\n    re = 1\n    def g(): return re.sub\n    return g", {}),
        ("class A:\n    re = 1\n    y = re.real", {}),
        ("x.re.sub; x.json()", {}),
        ("f(time=1, re=2)", {}),
        ("'re.sub'; del re", {}),
        ("requests.get; tqdm(x); nothing", {}),  # not known here
    ],
)
def test_what_a_cell_reads_and_nothing_binds(code, found):
    assert names(code) == found
    assert names(code, **dict.fromkeys(found, 1)) == {}


def test_a_huge_cell_is_left_as_it_is():
    line = "x = re.sub('a', 'b', c)\n"
    assert names(line * 10) == {"re": {"sub"}}
    assert names(line * 20_000) == {}


def test_each_statement_of_the_table_binds_its_name():
    assert not (set(MODULES) | set(OBJECTS)) & set(vars(builtins))
    for statement, name in STATEMENTS.items():
        if statement.startswith("import matplotlib") and importlib.util.find_spec("matplotlib") is None:
            continue
        space = {}
        exec(statement, space)
        assert name in space, statement


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WAYS)
async def kernel(request):
    launch, sandbox = WAYS[request.param]
    async with opened(launch=launch) as pool, started(pool, sandbox=sandbox) as kernel:
        yield kernel


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("re.findall('a.', 'ab')", "['ab']"),
        ("pd.DataFrame({'a': [1]}).shape", "(1, 1)"),
        ("np.arange(2).sum()", "np.int64(1)"),
        ("Counter('aab').most_common(1)", "[('a', 2)]"),
        ("datetime.fromisoformat('2024-05-01').month + timedelta(days=2).days", "7"),
        ("datetime.date(2024, 5, 1).month", "5"),
        ("datetime.datetime(2024, 5, 1).month", "5"),
        ("isinstance(1, datetime)", "False"),
        ("urllib.parse.quote('a b')", "'a%20b'"),
        ("concurrent.futures.ThreadPoolExecutor.__name__", "'ThreadPoolExecutor'"),
        ("ET.fromstring('<a/>').tag", "'a'"),
        ("pprint.pformat(1)", "'1'"),
        ("x = 1\npprint(x)", "1"),
        ("def f(n):\n    return [math.floor(x) for x in n]\nf([1.5])", "[1]"),
        ("await asyncio.sleep(0)\n[json.loads(x) for x in ['1']]", "[1]"),
        ("%time x = statistics.mean([1, 3])\nx", "2"),
        ("%%timeit -n1 -r1\nrandom.random()", ""),
        ("!echo shell\nos.path.basename('a/b')", "shell\n'b'"),
        ("got = !echo one\nitertools.chain(got).__class__.__name__", "'chain'"),
    ],
)
async def test_a_cell_runs_without_its_imports(kernel, code, output):
    known = " ".join({*MODULES, *OBJECTS})
    await shown(kernel, f"for _n in '{known}'.split(): globals().pop(_n, None)")
    text = await shown(kernel, code)
    assert text.endswith(output)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("string.lower()", "string"),  # a variable that was forgotten: the module has no such thing
        ("x = 1\ntime + x", "time"),
        ("print(code)", "code"),
        ("requests.get('x')", "requests"),
        ("Counter.unheard_of", "Counter"),
    ],
)
async def test_a_name_that_means_something_else_stays_unbound(kernel, code, name):
    await shown(kernel, f"globals().pop({name!r}, None)")
    result = await kernel.execute(code, seconds=60)
    assert (result.error_name, result.error_value) == ("NameError", f"name '{name}' is not defined")


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_not_installed_stays_unbound_and_later_cells_have_their_imports(kernel):
    await shown(kernel, "import sys\nsys.modules['statistics'] = None; globals().pop('statistics', None)")
    for _ in range(2):  # a transformer that fails once would be dropped by IPython
        assert (await kernel.execute("statistics.mean([1])", seconds=60)).error_name == "NameError"
    await shown(kernel, "del sys.modules['statistics']")
    assert await shown(kernel, "statistics.mean([1])") == "1"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cell_is_interrupted_while_a_module_is_imported(kernel):
    slow = (
        "import sys, types, importlib.abc, importlib.machinery\nclass Slow(importlib.abc.MetaPathFinder):\n"
    )
    slow += "    def find_spec(self, name, path=None, target=None):\n        if name == 'zipfile':\n"
    slow += "            import time; print('slow', flush=True); time.sleep(600)\n"
    await shown(kernel, f"{slow}sys.modules.pop('zipfile', None); globals().pop('zipfile', None)")
    await shown(kernel, "sys.meta_path.insert(0, Slow())")
    result = await kernel.execute("zipfile.is_zipfile('a'); print('ran')", seconds=0.5)
    assert (result.status, result.error_name, result.restarted) == ("timeout", "KeyboardInterrupt", False)
    assert "ran" not in result.output
    await shown(kernel, "del sys.meta_path[0]")
    assert await shown(kernel, "zipfile.is_zipfile('a')") == "False"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["import re"], "`re` was not imported; `import re` was added before your code."),
        (
            ["import re", "import pandas as pd", "import re"],
            "`re` and `pd` were not imported; `import re; import pandas as pd` was added before your code.",
        ),
        ([], None),
        (None, None),
        ("import re", None),
        (["import os; evil()", 3, ["import re"], {"import re": 1}], None),
    ],
)
def test_only_statements_of_the_table_are_told(given, told):
    assert told_imports(given) == told


def test_the_model_the_tree_and_the_log_are_told_once(tmp_path):
    seen = []
    cells = ["print(re.findall('b.', context))", "print(re.findall('c', context))", "FINAL('done')"]

    def reply(messages):
        assert question_of(messages) == "root"
        turn = sum(message["role"] == "assistant" for message in messages)
        seen.append(messages[-1]["content"])
        return f"```repl\n{cells[turn]}\n```"

    with asking(tmp_path) as ask:
        run = ask(None, context="abc", model=ScriptedModel(reply))
        assert run.value == "done"
        note = "`re` was not imported; `import re` was added before your code."
        assert seen[1].startswith(f"Output:\n['bc']\n\n{note}")
        assert note not in seen[2]
        assert [event.text for event in run.events if isinstance(event, ev.Notice)].count(note) == 1
        assert note in load(run.log_path).tree.agents["0"].notices
