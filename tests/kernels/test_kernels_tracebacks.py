"""Tracebacks of cells: the agent's own lines, the right ones, and little else."""

import re

import pytest
import pytest_asyncio
from kernel_parts import opened, shown, started

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAYS = {"forked": ("auto", "auto"), "stock": ("stock", "none")}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WAYS)
async def kernel(request):
    launch, sandbox = WAYS[request.param]
    async with opened(launch=launch) as pool, started(pool, sandbox=sandbox) as kernel:
        yield kernel


def marked(traceback):
    """The lines that an arrow points at, each with its number."""
    lines = [line.lstrip("-> ") for line in traceback.splitlines() if line.startswith("--")]
    return [(int(number), text.strip()) for number, _, text in (line.partition(" ") for line in lines)]


HEAD = "import pandas as pd\n\nlines = ['1', 'b']\n"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (HEAD + "x = sum(int(line) for line in lines)", [(4, "x = sum(int(line) for line in lines)")]),
        (HEAD + "x = [int(line) for line in lines]", [(4, "x = [int(line) for line in lines]")]),
        (HEAD + "x = {int(line) for line in lines}", [(4, "x = {int(line) for line in lines}")]),
        (HEAD + "x = {int(n): n for n in lines}", [(4, "x = {int(n): n for n in lines}")]),
        (HEAD + "x = sum(\n    int(line)\n    for line in lines)", [(4, "x = sum("), (5, "int(line)")]),
        (HEAD + "x = list(map(lambda n: int(n), lines))", [(4, "x = list(map(lambda n: int(n), lines))")]),
        (HEAD + "class A:\n    x = int('b')", [(4, "class A:"), (5, "x = int('b')")]),
        (
            HEAD + "def f(n):\n    return int(n)\n\nfor n in lines:\n    f(n)",
            [(8, "f(n)"), (5, "return int(n)")],
        ),
        (
            HEAD + "@staticmethod\ndef f(n):\n    return [int(n)]\nfor n in lines: f(n)",
            [(7, "for n in lines: f(n)"), (6, "return [int(n)]")],
        ),
        (
            HEAD + "async def f(n):\n    return int(n)\nx = await f('b')",
            [(6, "x = await f('b')"), (5, "return int(n)")],
        ),
        (HEAD + "%time int('b')", [(4, "get_ipython().run_line_magic('time', \"int('b')\")")]),
        ("\n\n# first\n" + HEAD + "int('b')", [(5, "int('b')")]),
        ("    import re\n    int('b')", [(2, "int('b')")]),
        ("text = '''a\x0cb\u2028c\x1dd'''\nimport re\nint('b')", [(3, "int('b')")]),
        (
            HEAD + "for n in lines:\n    try:\n        int(n)\n    finally:\n        x = 1\n        y = 2",
            [(6, "int(n)")],
        ),
    ],
)
async def test_an_arrow_points_at_the_line_that_failed(kernel, code, lines):
    result = await kernel.execute(code, seconds=60)
    assert result.error_name == "ValueError", result
    assert marked(result.traceback) == lines
    assert result.traceback.endswith("ValueError: invalid literal for int() with base 10: 'b'")


async def test_a_function_of_an_earlier_cell_is_shown_with_its_own_lines(kernel):
    await shown(kernel, "import json\n\n\ndef parse(line):\n    # one line\n    return json.loads(line)")
    await shown(kernel, "import re\nimport csv\nimport math\nimport time\nimport random\nimport string")
    result = await kernel.execute("lines = ['{']\n[parse(line) for line in lines]", seconds=60)
    assert marked(result.traceback) == [
        (2, "[parse(line) for line in lines]"),
        (6, "return json.loads(line)"),
    ]
    places = [line for line in result.traceback.splitlines() if line.startswith("Cell In")]
    assert len(places) == 2
    assert places[0].partition(",")[0] != places[1].partition(",")[0]


async def test_code_that_exec_ran_is_the_agents_own(kernel):
    result = await kernel.execute("exec('x = 1\\nint(\"b\")')", seconds=60)
    assert "File <string>:2" in result.traceback
    assert marked(result.traceback)[0] == (1, "exec('x = 1\\nint(\"b\")')")


async def test_a_module_that_the_agent_wrote_is_its_own(kernel):
    write = "import sys, os\nsys.path.insert(0, os.getcwd())\n"
    await shown(kernel, write + "_ = open('parts.py', 'w').write('def part(line):\\n    return line[9]\\n')")
    result = await kernel.execute("import parts\n[parts.part(line) for line in ['a']]", seconds=60)
    assert marked(result.traceback) == [(2, "[parts.part(line) for line in ['a']]"), (2, "return line[9]")]
    assert "\nFile parts.py:2, in part\n" in result.traceback


@pytest.mark.parametrize(
    ("code", "line", "text"),
    [
        ("x = 1\nprint('a'\ny = 2", 2, "print('a'"),
        ("text = '''\x0c'''\nimport re\nx ===", 3, "x ==="),
        ("for i in range(3):\nprint(i)", 2, "print(i)"),
    ],
)
async def test_an_error_of_syntax_shows_its_line(kernel, code, line, text):
    result = await kernel.execute(code, seconds=60)
    assert result.error_name in {"SyntaxError", "IndentationError"}
    assert f", line {line}\n    {text}\n" in result.traceback
    assert "Traceback" not in result.traceback  # nothing ran


async def test_an_error_of_syntax_in_text_shows_who_parsed_it(kernel):
    result = await kernel.execute("import ast\nast.parse('1 +')", seconds=60)
    assert marked(result.traceback) == [(2, "ast.parse('1 +')")]
    assert "File <unknown>:1\n    1 +\n" in result.traceback


async def test_frames_of_libraries_are_one_line_and_what_they_met_inside_is_left_out(kernel):
    code = "import pandas as pd\ntable = pd.DataFrame({'price': [1.0]})\ntable['cost'].sum()"
    result = await kernel.execute(code, seconds=60)
    first, *lines, folded, last = result.traceback.splitlines()
    assert first == "Traceback (most recent call last):"
    assert marked(result.traceback) == [(3, "table['cost'].sum()")]
    assert folded.startswith("... ")
    assert folded.endswith(" frames in pandas ...")
    assert last == "KeyError: 'cost'"
    assert len(lines) == 3
    assert len(result.traceback) < 300


async def test_a_callback_of_a_library_is_shown_between_its_frames(kernel):
    code = "import pandas as pd\ndef f(v):\n    return v['a']\npd.Series([1]).apply(f)"
    lines = (await kernel.execute(code, seconds=60)).traceback.splitlines()
    assert [line.partition(",")[0] for line in lines if line.startswith(("Cell", "..."))][1::2]
    assert marked("\n".join(lines)) == [(4, "pd.Series([1]).apply(f)"), (3, "return v['a']")]
    assert sum(line.endswith("frames in pandas ...") for line in lines) == 1


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        (
            "try:\n    {}['k']\nexcept KeyError as error:\n    raise ValueError('no k') from error",
            ["----> 2     {}['k']", "KeyError: 'k'", "direct cause", "----> 4     raise", "ValueError: no k"],
        ),
        (
            "try:\n    {}['k']\nexcept KeyError:\n    int('b')",
            [
                "----> 2     {}['k']",
                "KeyError: 'k'",
                "another one occurred",
                "----> 4     int",
                "ValueError: inv",
            ],
        ),
        (
            "try:\n    {}['k']\nexcept KeyError:\n    raise ValueError('no k') from None",
            ["----> 4     raise", "ValueError: no k"],
        ),
    ],
)
async def test_what_led_to_an_error_is_shown_first(kernel, code, parts):
    text = (await kernel.execute(code, seconds=60)).traceback
    places = [text.find(part) for part in parts]
    assert -1 not in places, text
    assert places == sorted(places)
    assert ("KeyError: " in text) == ("from None" not in code)


async def test_a_deep_recursion_shows_its_two_ends(kernel):
    result = await kernel.execute("def f(n):\n    return f(n + 1)\nf(0)", seconds=60)
    assert result.error_name == "RecursionError"
    assert "more frames of your code ..." in result.traceback
    assert marked(result.traceback)[0] == (3, "f(0)")
    assert len(result.traceback) < 1500


async def test_each_part_of_a_group_is_shown_with_its_place(kernel):
    code = "def f():\n    raise ValueError('one')\ntry:\n    f()\nexcept ValueError as e:\n    errors = [e, KeyError('two')]\n"
    result = await kernel.execute(code + "raise ExceptionGroup('several', errors)", seconds=60)
    assert result.error_name == "ExceptionGroup"
    assert "several (2 sub-exceptions)" in result.traceback
    assert "Part 1 of 2:\nCell In" in result.traceback
    assert "----> 2     raise ValueError('one')" in result.traceback
    assert result.traceback.endswith("Part 2 of 2:\nKeyError: 'two'")
    assert not result.output.strip()


@pytest.mark.parametrize(
    ("code", "end"),
    [
        (
            "class E(Exception):\n    def __str__(self): raise RuntimeError\nraise ValueError('v') from E()",
            (
                "E: <its text cannot be made>\n\nThe exception above was the direct cause of this one:\n"
                "Cell In[17], line 3\n      2     def __str__(self): raise RuntimeError\n"
                "----> 3 raise ValueError('v') from E()\nValueError: v"
            ),
        ),
        ("e = ValueError('a')\ne.add_note('look here')\nraise e", "ValueError: a\nlook here"),
        ("assert 1 == 2", "AssertionError"),
        ("raise ValueError('x' * 99 + 'y' * 3000 + 'z' * 99)", "z" * 99),
        ("x = '" + "a" * 5000 + "' + 1", 'can only concatenate str (not "int") to str'),
    ],
)
async def test_an_odd_error_is_shown_in_bounds(kernel, code, end):
    result = await kernel.execute(code, seconds=60)
    assert result.status == "error"
    assert re.sub(r"In\[\d+", "In[17", result.traceback).endswith(end)
    assert len(result.traceback) < 1500
