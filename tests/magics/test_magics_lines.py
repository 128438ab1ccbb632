"""The ways in which people write a magic's line: each works, or one line says how it is written."""

import pytest
from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import TransformerManager
from magics_parts import terminal_shell

from rlm_jupyter.magics.lexer import is_silenced, join_continued_lines, lex
from rlm_jupyter.magics.task import read
from rlm_jupyter.models import ScriptedModel

NBSP, TAB, ZERO_WIDTH = "\u00a0", "\t", "\u200b"


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with terminal_shell(tmp_path_factory.mktemp("lines")) as shell:
        adds = ScriptedModel(lambda messages: "```repl\ntotal = sum(context)\nFINAL(total)\n```")
        shell.user_ns.update(
            orders=[1, 2, 3], returns=[4], adds=adds, budget=0.25, which="openai/gpt-5", nothing=None
        )
        shell.user_ns["Verdict"] = {"a": "int64"}
        yield shell


@pytest.fixture
def magics(shell):
    return shell.magics_manager.registry["RLMMagics"]


def said(magics, line, body="What?"):
    with pytest.raises(UsageError) as caught:
        read(magics, line, body)
    assert type(caught.value) is UsageError
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "orders -o out --bg  # first try",
        "orders -o out --bg # don't mind the \"quotes",
        "orders -o out --bg\t#tight",
        "orders -o out --bg;",
        "orders -o out --bg ; # a comment behind it",
        "orders -o out --bg ;;  ",
        f"{NBSP}orders{NBSP}{TAB} -o{NBSP}out   --bg{NBSP}",
        f"{ZERO_WIDTH}orders{ZERO_WIDTH} -o out --bg\ufeff",
        "orders -o=out --bg",
        "orders -oout --bg",
        "orders -o = out --bg",
        "orders --out= out --bg",
        "orders --out =out --bg",
        "orders -out out -bg",
        "orders --Out out --BG",
        "orders -o out, --bg",
        "orders, -o out --bg",
        "-o out, orders --bg",
        "$orders -o out --bg",
        "{orders} -o out --bg",
        "[orders] -o out --bg",
        "'orders' -o \"out\" --bg",
        "-o out --bg -- orders",
    ],
)
def test_ways_to_write_the_same_line(magics, line):
    task = read(magics, line, "What?")
    assert (task.names, task.out, task.background, task.question) == (("orders",), "out", True, "What?")


@pytest.mark.parametrize(
    "line",
    [
        "orders returns",
        "orders, returns",
        "orders,returns",
        "orders , returns",
        "orders,returns,",
        "(orders, returns)",
        "[orders,returns]",
        "$orders {returns}",
    ],
)
def test_ways_to_write_several_names(magics, line):
    assert read(magics, line, "What?").names == ("orders", "returns")


@pytest.mark.parametrize(
    ("line", "body", "names", "question"),
    [
        ("orders \\", "-o out --bg\nWhat?", ("orders",), "What?"),
        ("orders\\", "  -o out \\\n  --bg\nWhat?\nAnd why?", ("orders",), "What?\nAnd why?"),
        ("orders \\", "returns -o out --bg # both\n\nWhat?", ("orders", "returns"), "What?"),
    ],
)
def test_a_backslash_at_the_end_goes_on_in_the_next_line(magics, line, body, names, question):
    task = read(magics, line, body)
    assert (task.names, task.out, task.background, task.question) == (names, "out", True, question)


def test_a_path_of_windows_may_end_in_a_backslash():
    assert join_continued_lines("orders --read C:\\data\\", "What?") == ("orders --read C:\\data\\", "What?")
    assert join_continued_lines("orders --read C:\\data\\ \\", "-o out\nWhat?") == (
        "orders --read C:\\data\\ -o out",
        "What?",
    )


def test_what_is_no_comment_stays_text(magics):
    assert read(magics, "-m model#1", "What?").settings["model"] == "model#1"
    assert read(magics, "-m '#1 model'  # the first", "What?").settings["model"] == "#1 model"
    assert read(magics, '-m "a;b;"', "What?").settings["model"] == "a;b;"
    assert read(magics, "-m '$which'", "What?").settings["model"] == "$which"
    assert read(magics, "orders", "# a heading\nWhat? # indeed;").question == "# a heading\nWhat? # indeed;"


@pytest.mark.parametrize(
    "line",
    ["--max-cost 0.25", "--max-cost=0.25", "--max_cost .25", "-max-cost=$budget", "--max-cost {budget},"],
)
def test_ways_to_write_a_number(magics, line):
    assert read(magics, line, "What?").settings["limits"].cost == 0.25


def test_a_value_may_be_that_of_a_variable(magics):
    assert read(magics, "-m $which", "What?").settings["model"] == "openai/gpt-5"
    assert read(magics, "-m={which}", "What?").settings["model"] == "openai/gpt-5"
    assert read(magics, "-m openrouter/{which}", "What?").settings["model"] == "openrouter/openai/gpt-5"
    assert read(magics, "-m {adds}", "What?").settings["model"] is magics.shell.user_ns["adds"]
    assert read(magics, "-s $Verdict", "What?").schema == {"a": "int64"}
    assert read(magics, "--max-cost $nothing", "What?").settings["limits"].cost is None


@pytest.mark.parametrize("line", ["-s dict[str, int]", "-s 'dict[str, int]'", "-s=dict[str,int]"])
def test_brackets_keep_a_type_together(magics, line):
    assert read(magics, line, "What?").schema == dict[str, int]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("orders \u2014max-cost 1", ["long dash", "U+2014", "type `--max-cost`"]),
        ("orders \u2013m adds", ["long dash", "U+2013", "type `-"]),
        ("orders -\u2010bg", ["long dash", "type `--bg`"]),
        ("--max-cost \u22121", ["U+2212", "type `-1`"]),
        ("-m gpt\u20115", ["long dash", "type `gpt-5`"]),
        ("-s \u201clist[str]\u201d", ["typographic quotation mark", 'type `"list[str]"`']),
        ("\u2018orders\u2019", ["typographic quotation mark", "type `'orders'`"]),
        ("\u00aborders\u00bb", ["typographic quotation mark"]),
        ("-m $whcih", ["no variable `whcih`", "In quotes"]),
        ("--read /data/{orders}", ["`{orders}` is a `list`", "cannot be a part of a word"]),
        ("--max-cost 0,5", ["`0,5` is not a number", "`0.5`"]),
        ("orders max_cost=1", ["`max_cost=1`", "`--max-cost 1`"]),
        ("orders.head()", ["`orders.head()` is an expression", "`part = orders.head()`"]),
        ("orders['a b', 1]", ["is an expression"]),
        ("orders + returns", ["`+` cannot be the name"]),
        ("'What is the sum?'", ["cannot be the name", "the question is written below"]),
        ("orders > file.txt", ["`>` cannot be the name"]),
        ("tree", ["`tree` is a command", "`%rlm tree`"]),
        ("--help", ["`%%rlm?` shows the help"]),
        ("-m # none", ["expected one argument"]),
        ("-m --bg", ["expected one argument"]),
        ("orders don't", ["quotation"]),
    ],
)
def test_what_cannot_work_is_told_in_one_line(magics, line, parts):
    message = said(magics, line)
    for part in parts:
        assert part in message


def test_typographic_marks_in_quotes_and_comments_are_text(magics):
    assert (
        read(magics, "-m 'gpt\u20135' # \u201cthe new one\u201d \u2014 don't", "What?").settings["model"]
        == "gpt\u20135"
    )


@pytest.mark.parametrize(
    "line", ["", " ", "#", ";", "a [b", "a]b", "{", "'a'b\"c\"", "$", "a#b", "= =", ",", "\\"]
)
def test_odd_lines_are_split_all_the_same(line):
    assert isinstance(lex(line), list)
    assert is_silenced(line) == (line == ";")


# ---- through IPython's own reading of a cell


def ask(shell, capsys, cell):
    """Run a cell; give its result and what it printed."""
    shell.user_ns.pop("out", None)
    capsys.readouterr()
    result = shell.run_cell(cell, store_history=True)
    return result, capsys.readouterr().out


@pytest.mark.parametrize(
    "first",
    [
        "%%rlm orders -m adds -o out --no-cache  # first try",
        "%%rlm orders -m adds -o out --no-cache # don't mind",
        f"%%rlm{TAB}orders -m adds -o out --no-cache",
        f"%%rlm{NBSP}orders{NBSP}-m adds -o out --no-cache",
        "# the sum of all\n\n# orders\n%%rlm orders -m adds -o out --no-cache",
        "%%rlm orders \\\n  -m adds -o out --no-cache",
        "\n  %%rlm orders -m adds -o out --no-cache",
        "%% rlm  orders -m adds -o out --no-cache\r",
        ">>> %%rlm orders -m adds -o out --no-cache",
    ],
)
def test_a_cell_is_found_and_answered(shell, capsys, first):
    result, shown = ask(shell, capsys, f"{first}\nWhat is the sum?")
    assert result.success
    assert (result.result, shell.user_ns["out"]) == (6, 6)
    assert "Answer: 6\n" in shown


def test_a_semicolon_keeps_the_value_off_the_screen_and_in_its_variable(shell, capsys):
    result, shown = ask(shell, capsys, "%%rlm orders -m adds -o out --no-cache; # quietly\nWhat is the sum?")
    assert result.success
    assert shell.user_ns["out"] == 6
    assert "Out[" not in shown
    _, shown = ask(shell, capsys, "%rlm pull 0 context;")
    assert "Out[" not in shown
    ask(shell, capsys, "out = %rlm pull 0 context;")
    assert shell.user_ns["out"] == [1, 2, 3]
    assert "Out[" in ask(shell, capsys, "%rlm pull 0 context")[1]


@pytest.mark.parametrize(
    "line",
    [
        "%rlm pull 0 context -o out  # keep it",
        "%rlm pull 0 context --out=out;",
        f"%rlm{TAB}pull{NBSP}0 context -o out",
        "%rlm pull 0, context -o out",
        "%rlm pull 0 \\\n  context -o out",
        "out = %rlm pull 0 context # don't",
        f"out = %rlm{NBSP}pull 0 context",
    ],
)
def test_a_command_reads_its_line_in_the_same_way(shell, capsys, line):
    ask(shell, capsys, "%%rlm orders -m adds --no-cache;\nWhat is the sum?")
    assert ask(shell, capsys, line)[0].success
    assert shell.user_ns["out"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ('x = "#"; print(x)', "#"),
        ("print({'a': 1}, 'don\\'t')  # a comment", "{'a': 1} don't"),
        ("print('$orders', f'{1 + 1}');", "$orders 2"),
        ("print(len('\u201c\u2014\u201d'))", "3"),
        ("print('a  b')", "a  b"),
    ],
)
def test_the_code_of_exec_is_taken_word_for_word(shell, capsys, code, output):
    ask(shell, capsys, "%%rlm orders -m adds --no-cache;\nWhat is the sum?")
    result, shown = ask(shell, capsys, f"%rlm exec 0 {code}")
    assert result.success
    assert shown.strip() == output


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%rlm", "done"),
        ("%rlm # how far is it?", "done"),
        ("%rlm status;", "done"),
        ("%rlm  tree  # all", "What is"),
    ],
)
def test_a_command_without_arguments(shell, capsys, line, said):
    ask(shell, capsys, "%%rlm orders -m adds --no-cache;\nWhat is the sum?")
    result, shown = ask(shell, capsys, line)
    assert result.success
    assert said in shown


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("%rlm orders", ["`orders` is a variable", "`%%rlm orders`"]),
        ("%rlm tre", ["no command `tre`", "`tree`"]),
        ("%rlm \u2014help", ["long dash"]),
        ("%rlm tree a b", ["one name too many", "%rlm tree [RUN]"]),
        ("%rlm pull 0 'context", ["quotation"]),
    ],
)
def test_a_wrong_command_is_told_in_one_line(shell, capsys, line, parts):
    result, _ = ask(shell, capsys, line)
    assert type(result.error_in_exec) is UsageError
    for part in parts:
        assert part in str(result.error_in_exec)


@pytest.mark.parametrize(
    "cell",
    [
        "# a comment\nx = 1\n",
        "# a comment\n%%time\nx = 1\n",
        "x = '''\n%rlm\tpull;\n'''\n",
        "  # a comment\n  y = %rlmx\ta;\n",
        "%%rlmx orders;\nWhat?\n",
        "%%rlm?\n",
        "%time 1;\n",
    ],
)
def test_other_cells_stay_as_they_are(shell, cell):
    assert shell.transform_cell(cell) == TransformerManager().transform_cell(cell)
