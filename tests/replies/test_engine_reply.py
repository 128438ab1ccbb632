"""From a reply to the code to run: the shapes that break parsers, each by name, and wrapping as a property."""

import ast
import inspect
import json
import re
import textwrap
import time
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlm_jupyter.engine.reply import python_syntax
from rlm_jupyter.engine.reply.parse import Reply, parse_reply
from rlm_jupyter.engine.reply.python_syntax import SyntaxChecker
from rlm_jupyter.text import syntax_trees


def blocks(text: str, finish_reason: str = "stop") -> tuple[str, ...]:
    reply = parse_reply(text, finish_reason=finish_reason)
    assert bool(reply.blocks) != bool(reply.problem), "either code or a problem, never both, never neither"
    return reply.blocks


def problem(text: str, finish_reason: str = "stop") -> str:
    reply = parse_reply(text, finish_reason=finish_reason)
    assert reply.blocks == ()
    assert reply.problem
    return reply.problem


# The numbered cases: shapes seen in the replies of real models.


def test_case_1_closer_glued_to_the_code():
    assert blocks('```repl\ncode = """\nx\n"""\ndone(code)``` ') == ('code = """\nx\n"""\ndone(code)',)
    assert blocks('```repl\ndone("a\\n")``` \nThat is all.') == ('done("a\\n")',)
    reply = parse_reply("```py\ndone(1)```\nand\n```py\ndone(2)\n```")
    assert reply.blocks == ("done(1)", "done(2)")
    assert "glued" in reply.notices[0]


def test_case_2_fence_inside_a_comment():
    code = '# However, we are required to "write code in ```repl``` blocks", so we cannot ask.\nx = 1'
    assert blocks(f"```repl\n{code}\n```") == (code,)
    code = "x = 1  # as in ```repl```\ny = 2"
    assert blocks(f"```repl\n{code}\n```") == (code,)
    assert blocks("```repl\nx = 1  # done```\n\nThis sets the variable x.") == ("x = 1  # done",)
    assert blocks("```repl\nx = 1  # done```\nIt gives:\n```\n1\n```") == ("x = 1  # done",)


def test_case_3_missing_backticks():
    assert "no backticks" in problem("repl\ninfo = CONTEXT.info()\nprint(info)")
    assert "no backticks" in problem("First I show summary and matches.\nrepl code\nprint(context)")


def test_case_4_plan_without_code():
    assert "no code block" in problem("I'll use the REPL now.")


def test_case_5_final_of_a_variable_name_in_prose_is_code_and_no_string():
    assert blocks("FINAL(random_number)") == ("FINAL(random_number)",)
    assert blocks("The answer is computed.\n\nFINAL(random_number)\n") == ("FINAL(random_number)",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FINAL(15)", "FINAL(15)"),
        ('FINAL("Blue")', 'FINAL("Blue")'),
        ('Done.\nFINAL("a) b")', 'FINAL("a) b")'),
        ("FINAL(x is set to 500.)", "FINAL('x is set to 500.')"),
        ("FINAL(it's (mostly) over.)", 'FINAL("it\'s (mostly) over.")'),
        ("FINAL(2^(2^(2^(2))) = 65536)", "FINAL('2^(2^(2^(2))) = 65536')"),
        ("FINAL_VAR('resp')", "FINAL_VAR('resp')"),
        ("FINAL_VAR(resp)", "FINAL_VAR(resp)"),
        ('So:\n**FINAL_VAR("resp")**', 'FINAL_VAR("resp")'),
        ("I will return FINAL_VAR(output) now", "FINAL_VAR(output)"),
        ("- `FINAL(total)`.", "FINAL(total)"),
        ("It is ready:\nFINAL({\n  'a': [1, (2)],\n})", "FINAL({\n  'a': [1, (2)],\n})"),
        ("```json\n{}\n```\nFINAL(1)", "FINAL(1)"),
        ("```\nFINAL(42)\n```", "FINAL(42)"),
        ("```repl\nFINAL(x is set)\n```", "FINAL(x is set)"),
    ],
)
def test_case_6_final_in_prose_in_all_its_spellings(text, code):
    assert blocks(text) == (code,)


def test_case_6_prose_taken_as_a_string_is_said():
    assert "taken as a string" in parse_reply("FINAL(x is set to 500.)").notices[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Once the loop is done I will call FINAL(answer).", "no code block"),
        ("You should use FINAL_VAR(x) when ready", "no code block"),
        ("> FINAL(quoted)", "no code block"),
        ("FINAL(1)\nFINAL(2)\nor so", "several `FINAL`"),
        ("Here it is:\nFINAL(the answer", "not closed"),
        ("```json\nFINAL(1)\n```", "another language (`json`)"),
        ("```\nOut: FINAL of it is 3 (maybe\nFINAL(x y)\n```", "names no language"),
    ],
)
def test_case_6_final_that_is_no_answer(text, words):
    assert words in problem(text)


def test_case_7_answer_without_any_marker_and_confused_roles():
    assert "no code block" in problem("The graph edges were not found in the context, so it is impossible.")
    text = "Please provide a final answer to the user's question based on the information provided."
    assert "no code block" in problem(text)


def test_case_8_file_dumped_as_prose():
    assert "no code block" in problem("PATH: scripts/boid.js\n(function () {\n  var x = 1;\n})();")


def test_case_9_two_blocks_are_given_apart_so_that_the_second_can_be_withheld():
    second = 'answer["content"] = f"Final Answer: {parents_list}"\nanswer["ready"] = True'
    text = f"Look:\n```repl\nparents_list = find()\n```\nThen:\n```repl\n{second}\n```"
    assert blocks(text) == ("parents_list = find()", second)


def test_case_10_finalise_in_the_turn_of_the_first_look():
    assert blocks("```repl\nprint(context[:100])\nFINAL(1)\n```") == ("print(context[:100])\nFINAL(1)",)


def test_case_11_double_closer_and_code_bare_or_fenced():
    code = 'print("No results found.")'
    assert blocks(f"```python\n{code}\n```\n``` ") == (code,)
    assert blocks(f"```python\n{code}\n```\n```\n\nNext:\n```python\nx = 1\n```") == (code, "x = 1")
    assert blocks(f"```python\n{code}\n```\n\n```\n\nNext:\n```\nx = 1\n```") == (code, "x = 1")
    assert blocks(f"```python\n```python\n{code}\n```") == (code,)
    bare = parse_reply(f"x = 1\n{code}")
    assert bare.blocks == (f"x = 1\n{code}",)
    assert "without a ```repl fence" in bare.notices[0]


def test_case_12_submit_positional_and_keyword():
    assert blocks("```python\nSUBMIT(answer=1)\nSUBMIT(1)\n```") == ("SUBMIT(answer=1)\nSUBMIT(1)",)


def test_case_13_invalid_quotes_are_run_so_that_python_says_where():
    code = 'FINAL("""No substantial AGI discussion found."""")'
    assert blocks(f"```repl\n{code}\n```") == (code,)
    code = 'FINAL("""never closed)'
    assert blocks(f"```repl\n{code}\n```\nThat is it.") == (code,)


def test_case_14_top_level_yield_and_await():
    for code in ("handles = []\nyield wait(*handles)", "await launch_subagents([1, 2])"):
        assert blocks(f"```repl\n{code}\n```") == (code,)
        assert blocks(f"```\n{code}\n```") == (code,)
        assert blocks(f"```repl\n{code}") == (code,)


def test_case_15_triple_quoted_markup_with_backticks_and_long_code():
    page = 'page = """<script>`${x}`</script>\n```js\nlet a = `1`;\n```\n~~~\n</html>\n"""\n'
    code = page + "FINAL(page)\n" + "\n".join(f"v{i} = {i}" for i in range(1500))
    assert len(code) > 8000
    assert blocks(f"See:\n```repl\n{code}\n```\nDone.\n```repl\nx\n```") == (code, "x")
    assert blocks(f"```repl\n{page}") == (page.rstrip("\n"),)


def test_case_16_bare_fences_between_python_fences_and_an_unclosed_tail():
    text = (
        'a\n```python\nx = 1\n```\nb\n```\nprint(x)\n```\nIt shows\n```\n1\n```\nthen\n```python\nFINAL("1")'
    )
    assert blocks(text) == ("x = 1", "print(x)", 'FINAL("1")')
    reply = parse_reply(text, finish_reason="length")
    assert reply.blocks == ("x = 1", "print(x)")
    assert "was cut off" in reply.notices[0]


def test_case_17_tags_cut_and_mixed_and_fences_in_thoughts():
    assert blocks("Thoughts: use it\n<code>\ndone(1)\n</code") == ("done(1)",)
    assert blocks("<code>\n```python\ndone(1)\n```\n</code>") == ("done(1)",)
    assert blocks("```py\ndone(1)\n</code>") == ("done(1)",)
    assert blocks("Thoughts: I use ``` for code.\n``` marks the code.\n```py\ndone(1)\n```") == ("done(1)",)
    assert "empty" in problem("")
    assert blocks('```py\nprint("a\\\\nb\\n")\n```') == ('print("a\\\\nb\\n")',)
    assert blocks("```py\ndone(1)\n``") == ("done(1)",)


def test_case_18_last_expression_without_print_is_kept():
    assert blocks("```repl\nx = context.head()\nx\n```") == ("x = context.head()\nx",)


# Further rules.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>```repl\nsecret()\n```</think>\n```repl\nx = 1\n```", ("x = 1",)),
        ("<think>\nplan\n</think>```repl\nx = 1\n```", ("x = 1",)),
        ("I plan:\n```repl\nwrong()\n```\n</think>\n```repl\nx = 1\n```", ("x = 1",)),
        ("I plan:\n```repl\nwrong(\n</think>\n```repl\nx = 1\n```", ("x = 1",)),
        ('```repl\ns = re.sub("<think>.*</think>", "", s)\n```', ('s = re.sub("<think>.*</think>", "", s)',)),
        ('```repl\ns = """\n<think>\n</think>\n"""\n```', ('s = """\n<think>\n</think>\n"""',)),
        ("<thinking>FINAL(1)</thinking>\nFINAL(2)", ("FINAL(2)",)),
    ],
)
def test_code_inside_of_thinking_is_never_run(text, expected):
    assert blocks(text) == expected


def test_unclosed_thinking_is_a_problem_and_is_kept_apart():
    assert "inside its thinking" in problem("<think>\n```repl\nx = 1\n```\nFINAL(1)")
    reply = parse_reply("<think>a plan</think>Now:\n```repl\nx\n```")
    assert (reply.thinking, reply.prose) == ("a plan", "Now:")


@pytest.mark.parametrize("tag", ["json", "bash", "sh", "javascript", "text", "markdown", "sql", "pycon"])
def test_other_languages_are_never_run_nor_what_stands_in_them(tag):
    assert f"`{tag}`" in problem(f"```{tag}\nx = 1\n```")
    assert blocks(f"```{tag}\n```python\nx = 1\n```\nand\n```repl\ny = 1\n```") == ("y = 1",)


def test_a_quoted_output_with_a_fence_in_it_is_not_run():
    assert "names no language" in problem("It printed\n```\nsome data here\n```python\nevil()\n```\n")


@pytest.mark.parametrize("text", ["```\nsome output: 3 rows\n```", "```\n[1, 2, 3]\n```", "```\nACME\n```"])
def test_a_bare_block_without_effect_is_not_run(text):
    assert "names no language" in problem(text)


@pytest.mark.parametrize(
    "code",
    ["%time x = f()", "!ls -l", "df?", "?df", "files = !ls", "x = %sql select 1", "%%bash\necho '```x'\nls"],
)
def test_ipython_syntax_counts_as_code(code):
    assert blocks(f"```\n{code}\n```") == (code,)
    assert blocks(f"```repl\n{code}") == (code,)


def test_a_cell_magic_ends_at_the_first_closing_fence_as_its_body_is_no_python():
    text = "```repl\n%%bash\necho '''\n```\nthen\n```repl\nx = 1  # '''\n```"
    assert blocks(text) == ("%%bash\necho '''", "x = 1  # '''")


def test_tildes_in_an_expression_are_no_fence():
    assert blocks("```repl\ny = (1 +\n~~~x)\n```") == ("y = (1 +\n~~~x)",)


def test_missing_closer_before_the_next_block_or_before_prose():
    assert blocks("```repl\nx = 1\n```repl\ny = 2\n```") == ("x = 1", "y = 2")
    reply = parse_reply("```repl\nx = 1\nprint(x)\n\nNow I look at it.\n\n```repl\ny = 2\n```")
    assert reply.blocks == ("x = 1\nprint(x)", "y = 2")
    assert "missing" in reply.notices[0]
    reply = parse_reply("```py\nx = 1\n```That gives the x.\n\n```py\ny = 2\n```")
    assert (reply.blocks, reply.notices) == (("x = 1", "y = 2"), ())
    assert blocks("```repl\nprint(x)\n\nThis will show x(1).\n") == ("print(x)",)


def test_code_after_a_broken_block_is_not_run():
    reply = parse_reply("```repl\nx = 1\n```\n```repl\nfor (\n```json\n{}\n```\n```repl\ny = 2\n```")
    assert reply.blocks == ("x = 1",)
    assert "what follows" in reply.notices[0]
    assert "no closing" in problem("```repl\nfor (\n")


def test_a_missing_closer_does_not_lose_half_of_the_code():
    assert "no closing" in problem("```repl\nx = 1\n\ny = = 2\n")


def test_a_block_cut_by_length_is_not_run_although_it_parses():
    assert "cut off" in problem("```repl\nx = 1", "length")
    assert "cut off" in problem("```repl\nx = '''\n```\n", "length")
    assert "cut off" in problem("Let me think about", "length")
    assert "cut off" in problem("```\nx = 1", "length")
    assert "cut off" in problem("print(1)\nx = 1", "length")
    assert blocks("```repl\nx = 1\n```", "length") == ("x = 1",)
    assert blocks("```repl\nx = 1```", "length") == ("x = 1",)


def test_an_indented_fence_with_code_at_the_margin_leaves_the_code_alone():
    code = "if a:\n  b()\n  if c:\n    d()"
    assert blocks(f"   ```py\n{code}\n   ```") == (code,)


def test_opening_fence_at_the_end_of_a_sentence():
    assert blocks("Here is the code: ```python\nx = 1\n```") == ("x = 1",)
    assert "no code block" in problem("We write code in\nso-called ```text``` blocks")
    assert "line of its own" in problem("Run ```repl print(1)``` please")


@pytest.mark.parametrize("text", ["```repl\n```", "```repl\n\n  \n```", "```repl"])
def test_an_empty_block_is_a_problem(text):
    assert "empty" in problem(text)


@pytest.mark.parametrize("info", ["Python", "{python}", "python title='a.py'", "python3", "py", "REPL"])
def test_info_strings_that_mean_python(info):
    assert blocks(f"```{info}\nx = 1\n```") == ("x = 1",)


def test_longer_fences_hold_shorter_ones():
    code = "s = '''\n```\n'''"
    assert blocks(f"````py\n{code}\n````") == (code,)
    assert blocks("````py\nx = 1\n```\n") == ("x = 1",)


@pytest.mark.parametrize(
    ("opener", "code"),
    [
        ("```python x = 1", "x = 1\nprint(x)"),
        ("```repl import os", "import os\nprint(x)"),
        ("~~~py  print(0)", "print(0)\nprint(x)"),
        ("```python if x:", "if x:\nprint(x)"),
        ('```python title="x = 1"', "print(x)"),
        ("```python linenums=1", "print(x)"),
        ("```python 3.11", "print(x)"),
        ("```{.python}", "print(x)"),
        ("```{python} x", "print(x)"),
    ],
)
def test_code_on_the_line_of_the_fence_is_code_and_an_attribute_is_not(opener, code):
    assert blocks(f"So:\n{opener}\nprint(x)\n{opener[:3]}\n") == (code,)


@pytest.mark.parametrize("title", ["Output:", "**Output**", "Expected output:\n", "### Result", "stdout"])
def test_output_that_a_model_made_up_is_no_code(title):
    text = f"```repl\nx = f()\n```\n{title}\n```\nx = 5\nprint(x)\n```\n"
    assert blocks(text) == ("x = f()",)
    assert blocks(f"{text}```repl\nFINAL(x)\n```") == ("x = f()",)


def test_a_bare_block_after_another_one_is_code_where_nothing_calls_it_output():
    assert blocks("```repl\nx = f()\n```\nThe output is 5, so:\n```\nFINAL(x)\n```") == (
        "x = f()",
        "FINAL(x)",
    )


def test_problems_are_one_line_for_a_broken_block_with_the_reason():
    text = problem("```repl\nprint(1\n")
    assert "was never closed" in text
    assert "\n" not in text


def test_the_parser_neither_warns_nor_touches_the_warning_filters():
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert blocks('```\nre.search("\\d\\.", s)\n```') == ('re.search("\\d\\.", s)',)
    assert not caught
    assert warnings.filters == before
    assert SyntaxChecker().parses(r"f'\N{EM DASH}{x}\d' + b'\xff' + r'\q'")


def test_half_a_surrogate_pair_is_replaced_and_two_halves_are_one_character():
    assert blocks("```repl\nx = '\ud800'\n```") == ("x = '\ufffd'",)
    assert blocks("```repl\nx = '\ud83d\ude00'\n```") == ("x = '\U0001f600'",)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("x = '\0'", "null bytes"),
        ("(" * 5000, "too many nested parentheses"),
        ("-" * 100_000 + "1", "MemoryError|recursion|too complex"),
    ],
)
def test_code_that_breaks_the_parser_is_not_run_and_the_reason_is_told(code, why):
    assert re.search(rf"not Python that does something \(.*{why}", problem(f"```\n{code}\n```"))
    assert re.search(rf"no closing ``` and is not valid Python \(.*{why}", problem(f"```repl\n{code}"))
    assert blocks(f"```repl\n{code}\n```") == (code,)  # it says that it is code: Python itself shall complain


LARGE = {
    "openers": "```python\n" * 10_000 + "x" * 900_000,
    "blocks": "```python\nx = 1\n```\n" * 5_000 + "y " * 400_000,
    "bare": ("```\nabc def\n```\n\n" + "w" * 180 + "\n") * 5_000,
    "unclosed strings": '```python\nx = """ab\n```\n' * 5_000 + "z" * 900_000,
    "unclosed strings far apart": ('```python\nx = """ab\n```\n' + "p" * 180) * 5_000,
    "fences in strings": ("```python\nx='''\n```python\n'''\n```\n" + "w" * 150 + "\n") * 3_300,
    "comments": ("```python\nprint('a')  # ```\n" + "a\n" * 80) * 5_000,
    "lengths": "\n".join("`" * (3 + i % 90) + "python" for i in range(10_000)),
    "escaped quotes": ("```python\n\\'''\n```\n" + "w" * 80) * 10_000,
    "finals": "FINAL(FINAL(FINAL(\n" * 50_000,
    "parentheses": "FINAL(" + ")" * 900_000,
    "one long block": "```python\n" + "x = [1, 2, 3]\n" * 70_000,
    "thinking": "<think>" * 140_000,
    "quotes": "```python\n" + "'" * 1_000_000,
    "titles": "```repl\nx = 1\n```\n" + "Output:\nFINAL(\n" * 60_000,
    "titles of code": "```repl\nx = 1\n```\n" + "the output of the code " * 40_000,
    "spaces before a title": "```repl\nx = 1\n```\n" + " " * 900_000 + "Output:",
    "rules": "```repl\nx = 1\n```\n" + ("-" * 300 + "\n") * 3_000,
    "prompts": "```repl\n" + ">>> x\n" * 150_000 + "```",
    "returns": "```repl\n" + "return FINAL(1)\n" * 60_000 + "```",
    "languages": "```\nrepl\n" * 100_000,
    "blank lines": "```\n\n\n\n\n" * 160_000,
    "announced": ("```repl\nx = 1\n```\n" + "I will FINAL(x) and\n") * 20_000,
    "items": "- FINAL(x)\n" * 90_000,
    "wrapped": ("w" * 60 + "\n") * 15_000 + "FINAL(x) it",
    "questions": "```\n" + "Sure?\n" * 150_000 + "```",
    "words": "FINAL(" + "a|" * 9_000 + "a)",
}


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
@pytest.mark.parametrize("name", LARGE)
def test_a_megabyte_of_fences_does_not_hang(name, finish_reason):
    began = time.process_time()
    assert isinstance(parse_reply(LARGE[name], finish_reason=finish_reason), Reply)
    assert time.process_time() - began < 10, "a bound on hangs; it takes a tenth of a second"


# Properties.

FUNCTIONS = [
    textwrap.dedent(inspect.getsource(thing))
    for module in (json, textwrap, ast)
    for _, thing in inspect.getmembers(module, inspect.isfunction)
]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=20)
STATEMENT = st.one_of(
    TEXT.map(lambda text: f"x = {text!r}"),
    TEXT.map(lambda text: "# " + " ".join(text.split()) + " ```"),
    TEXT.map(lambda text: "# `" + " ".join(text.split())),
    st.lists(TEXT, max_size=4).map(lambda lines: "s = " + '"""' + "\n".join(map(_harmless, lines)) + '\n"""'),
    st.sampled_from(
        ["s = '''\n```python\nevil()\n```\n'''", 's = r"""\n~~~\n```\n"""', 'f"{x!r:>{w}}"', "await g()", "%time f()",
         "for i in y:\n    if i:\n        z(i)\n\n    t('`')", "!ls", "x = '```'", "print('a')  # ```repl``` it is", "yield 1"]
    ),
    st.sampled_from(FUNCTIONS),
)  # fmt: skip
CODE = st.lists(STATEMENT, min_size=1, max_size=5).map("\n".join)
WRAP = st.fixed_dictionaries(
    {
        "tag": st.sampled_from(["repl", "python", "py", "Python", "python3"]),
        "fence": st.sampled_from(["```", "````", "`````", "~~~", "~~~~"]),
        "indent": st.sampled_from(["", " ", "  ", "   ", "- ", "1. ", "  * ", "\t", "10) - "]),
        "trail": st.sampled_from(["", " ", "  \t"]),
        "crlf": st.booleans(),
        "before": st.sampled_from(
            ["", "Let me look.\n", "It's `x`:\n\n", "<think>```py\nx\n```</think>\n", "* a\n"]
        ),
        "after": st.sampled_from(
            ["", "\n", "\nThat's it.\n", "\n\n```json\n{}\n```\n", "\n```", "\n```\n\nSo it is."]
        ),
    }
)


def _harmless(line: str) -> str:
    return line.replace("\\", "/").replace('"', "'")


def wrapped(code, wrap):
    indent = wrap["indent"]
    inner = indent if not indent.strip() else " " * len(indent)
    body = "\n".join(inner + line for line in code.split("\n"))
    text = (
        f"{wrap['before']}{indent}{wrap['fence']}{wrap['tag']}{wrap['trail']}\n{body}\n"
        f"{inner}{wrap['fence']}{wrap['trail']}{wrap['after']}"
    )
    return text.replace("\n", "\r\n") if wrap["crlf"] else text


def is_plain(code):
    """Whether no line of the code is itself a fence, outside of strings that Python knows."""
    return SyntaxChecker().parses(code)


@settings(max_examples=400, deadline=None)
@given(CODE.filter(is_plain), WRAP)
def test_wrapping_code_in_any_accepted_form_gives_it_back_unchanged(code, wrap):
    assert blocks(wrapped(code, wrap))[0] == code


LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0`~<"), max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINE, min_size=1, max_size=8).map("\n".join).filter(str.strip), WRAP)
@example(
    "x = '''",
    {"tag": "py", "fence": "```", "indent": "", "trail": "", "crlf": False, "before": "", "after": ""},
)
def test_text_that_is_no_python_is_given_back_unchanged_too_so_that_python_explains(code, wrap):
    if not any(quotes in code for quotes in ('"""', "'''")) or wrap["after"] in ("", "\n"):
        assert blocks(wrapped(code, wrap))[0] == code


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["```", "```repl", "~~~", "````py", "```json", "\n", "\n", "\r\n", "x = 1", '"""', "'", "#", "<think>",
             "</think>", "FINAL(", ")", "FINAL_VAR(x)", "  ", "- ", "word another third", "%%bash", "</code", "\\"]
        ),
        max_size=40,
    ).map("".join),
    st.sampled_from(["stop", "length"]),
)  # fmt: skip
def test_any_soup_gives_either_code_or_a_problem(text, finish_reason):
    reply = parse_reply(text, finish_reason=finish_reason)
    assert bool(reply.blocks) != bool(reply.problem)
    assert all(block.strip() for block in reply.blocks)


def test_code_is_parsed_again_when_another_thread_parsed_at_the_same_time(monkeypatch):
    """CPython then raises SystemError, as it counts one depth for both (python/cpython#106905)."""
    outcomes = iter([SystemError("AST constructor recursion depth mismatch"), None])

    def compiled(*arguments, **named):
        if (error := next(outcomes, None)) is not None:
            raise error
        return compile(*arguments, **named)

    monkeypatch.setattr(syntax_trees, "compile", compiled, raising=False)
    assert isinstance(python_syntax.parsed("x = 1"), ast.Module)
    monkeypatch.setattr(
        syntax_trees, "compile", lambda *_, **__: (_ for _ in ()).throw(SystemError()), raising=False
    )
    assert python_syntax.parsed("x = 1") is None
