"""Code that models send with a slip of form: prompts, `return`, the language within the fence, lines of IPython."""

import pytest

from rlm_jupyter.engine.reply.parse import parse_reply


def blocks(text):
    reply = parse_reply(text)
    assert bool(reply.blocks) != bool(reply.problem)
    return reply.blocks


# ---- code without a fence that holds one in a string

ASKS = 'prompt = """Answer in\n```python\nx = 1\n```\n"""\nFINAL(llm_query(prompt))'


@pytest.mark.parametrize(
    "code",
    [
        ASKS,
        "s = '''\n```\n'''\nprint(s)",
        "s = '''\n```json\n{}\n'''\nprint(s)",
        "# as in ```python\nx = f()\ns = '''\n~~~\nx\n~~~\n'''",
        "%time x = f()\n" + ASKS,
    ],
)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("Here is the code:\n", ""),
        ("I ask the model for it.\n\n", ""),
        ("<think>a plan</think>\n", ""),
        ("", "\n\nThis asks the model for it."),
    ],
)
def test_code_without_a_fence_is_run_whole_although_a_string_in_it_holds_one(code, before, after):
    assert blocks(f"{before}{code}{after}") == (code,)


def test_a_fence_after_prose_is_still_the_block():
    assert blocks("We assign:\n```python\nx = '''\n```\n'''\n```\n") == ("x = '''\n```\n'''",)
    assert blocks("x = 1\n```python\ny = f()\n```") == ("y = f()",)


# ---- lines of IPython where nothing says that it is code


@pytest.mark.parametrize(
    "text",
    [
        "![c](u)",
        "Sure?",
        "Really?",
        "why?",
        "% of all",
        "%d items",
        "%Y-%m-%d",
        "!important",
        "! Note",
        "What?\nYes.",
    ],
)
def test_words_that_look_like_ipython_are_code_only_in_a_block_that_says_so(text):
    assert blocks(text) == ()
    assert blocks(f"```\n{text}\n```") == ()
    assert blocks(f"```repl\n{text}\n```") == (text,)


@pytest.mark.parametrize(
    "code",
    [
        "!ls", "!ls -la data | head", "!./run.sh", "!mytool --flag", "%time f(x)", "%timeit f()", "%ls", "%cd data",
        "%rlm tree", "df.head?", "orders_2?", "?df", "df??", "x = !ls", "x = %time f()", "%%bash\nls", "%%time\nf()",
    ],
)  # fmt: skip
def test_unmistakable_lines_of_ipython_are_code_anywhere(code):
    assert blocks(code) == (code,)
    assert blocks(f"```\n{code}\n```") == (code,)


# ---- the language on the first line within the fence


@pytest.mark.parametrize("language", ["repl", "python", "py", "Python", "python3", "repl:", "  python  "])
@pytest.mark.parametrize("fence", ["```", "```repl", "```python", "~~~"])
def test_a_first_line_that_names_the_language_is_no_code(language, fence):
    code = "x = f()\nprint(x)"
    assert blocks(f"Look:\n{fence}\n{language}\n{code}\n{fence[:3]}\nThat is it.") == (code,)


def test_what_is_named_in_the_fence_is_code_even_if_it_does_not_parse():
    assert blocks("```\nrepl\nprint(1\n```") == ("print(1",)


def test_a_variable_of_that_name_alone_is_code_and_a_lone_language_is_not():
    assert blocks("```repl\npy\n```") == ("py",)
    assert blocks("```\nrepl\n```") == ()


# ---- fences


@pytest.mark.parametrize("inner", ["```python", "```repl", "\n```python", "```py"])
@pytest.mark.parametrize("end", ["```", "```\n```", "```\n```\n\nThat is it."])
def test_a_block_within_a_block_is_run_once_without_its_fences(inner, end):
    assert blocks(f"```repl\n{inner}\nx = f()\n{end}") == ("x = f()",)


@pytest.mark.parametrize("closer", ["```repl", "```python", "```py "])
@pytest.mark.parametrize("after", ["", "\n", "\n\n", "\nThis sets x to one.", "\n\nNow:", "\nIt's done."])
def test_a_block_may_be_closed_by_a_fence_with_a_language(closer, after):
    text = f"```repl\nx = f()\n{closer}{after}"
    assert blocks(text) == ("x = f()",)
    assert "not valid" not in " ".join(parse_reply(text).notices)
    assert blocks(f"{text}\n```repl\ny = g()\n```") == ("x = f()", "y = g()")


def test_a_broken_block_after_a_missing_closer_is_told_as_before():
    reply = parse_reply("```repl\nx = 1\n```repl\ny = = 2\n")
    assert reply.blocks == ("x = 1",)
    assert "not valid Python" in " ".join(reply.notices)


# ---- prompts


@pytest.mark.parametrize(
    ("session", "code"),
    [
        (">>> x = f()\n>>> print(x)", "x = f()\nprint(x)"),
        (">>> x = f()\n>>> x\n42\n>>> FINAL(x)", "x = f()\nx\nFINAL(x)"),
        (">>> for a in b:\n...     print(a)\n...\n1\n2", "for a in b:\n    print(a)\n"),
        ("In [1]: x = f()\n   ...: x\nOut[1]: 42\n\nIn [2]: FINAL(x)", "x = f()\nx\nFINAL(x)"),
        ("In [12]: x = f()", "x = f()"),
    ],
)
@pytest.mark.parametrize("form", ["```repl\n{}\n```", "```\n{}\n```", "{}"])
def test_prompts_are_taken_off_and_the_outputs_between_are_dropped(session, code, form):
    reply = parse_reply(form.format(session))
    assert [block.rstrip() for block in reply.blocks] == [code.rstrip()]
    assert "prompts" in " ".join(reply.notices)


@pytest.mark.parametrize(
    "code",
    [
        "x = '''\n>>> y\n'''",
        "x >>= 1",
        ">>> for a in b:\n    print(a)",
        ">>> x = (\n>>> y",
        "s = 'In [1]: x'",
    ],
)
def test_code_that_only_looks_like_a_session_is_left_alone(code):
    assert blocks(f"```repl\n{code}\n```") == (code,)


# ---- return


@pytest.mark.parametrize(
    ("code", "mended"),
    [
        ("return FINAL(x)", "FINAL(x)"),
        ("x = 'é'; return FINAL(x)", "x = 'é'; FINAL(x)"),
        ("x = 1\n\nreturn  SUBMIT(a=x)  # done", "x = 1\n\nSUBMIT(a=x)  # done"),
        ("return await FINAL_VAR('x')", "await FINAL_VAR('x')"),
        ("return FINAL({\n  'a': 1,\n})", "FINAL({\n  'a': 1,\n})"),
        ("if x:\n    return FINAL(x)\nf()", "if x:\n    FINAL(x); raise SystemExit\nf()"),
    ],
)
def test_return_of_an_answer_outside_of_functions_is_the_call(code, mended):
    reply = parse_reply(f"```repl\n{code}\n```")
    assert reply.blocks == (mended,)
    assert "`return`" in reply.notices[0]


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    return FINAL(x)\nf()",
        "class A:\n    def f(self):\n        return FINAL(1)",
        "return x",
        "return FINAL(",
        "s = '''\nreturn FINAL(x)\n'''",
    ],
)
def test_other_returns_are_left_to_python(code):
    assert blocks(f"```repl\n{code}\n```") == (code,)


def test_a_name_that_is_written_in_two_words_is_read_as_it_is_used():
    code = "users_b billing = {1, 2}\npraise = {2}\nboth = users_b_billing & praise\nprint(both)"
    reply = parse_reply(f"```repl\n{code}\n```")
    assert reply.blocks == (code.replace("users_b billing", "users_b_billing"),)
    assert "`users_b billing` is no name: it was read as `users_b_billing`." in " ".join(reply.notices)


@pytest.mark.parametrize(
    "code",
    [
        "my total = 3\nprint(total)",  # nothing says what is meant
        'text = """\nuser name = 3\n"""\nuser_name = 4',  # Python as it is
        "for x = 3\nprint(for_x)",
        "a b = 1\nprint(a_b",  # not Python even so
    ],
)
def test_other_code_is_left_as_it_is(code):
    assert parse_reply(f"```repl\n{code}\n```").blocks == (code,)
