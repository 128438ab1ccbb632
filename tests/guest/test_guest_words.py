"""The words that an agent's code may use, in a real kernel."""

import asyncio
import os

import pytest
from guest_kernel import GuestKernel, encode

from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.values.codec import api as codec


@pytest.fixture(scope="module")
def shared():
    kernel = GuestKernel()
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared):
    shared.reset()
    shared.ask(
        "configure", {"agent": "0", "depth": 0, "leaf": False, "words": {"fallback_chars": 60_000, "rows": 3}}
    )
    yield shared
    shared.clear()


def bodies(kernel, op):
    return [body for name, body in kernel.ops if name == op]


# -- FINAL and its other names


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("FINAL({'a': [1, 2]})", {"a": [1, 2]}),
        ("x = 5\nFINAL_VAR('x')", 5),
        ("x = 5\nFINAL_VAR(' \"x\" ')", 5),
        ("x = 5\nFINAL_VAR(x)", 5),
        ("FINAL_VAR('no name, but a text')", "no name, but a text"),
        ("SUBMIT([1])", [1]),
        ("SUBMIT(answer='yes', score=3)", {"answer": "yes", "score": 3}),
        ("answer['content'] = 'text'\nanswer['ready'] = True", "text"),
        ("answer = {'content': [3], 'ready': True}", [3]),
        ("await FINAL('awaited')", "awaited"),
        ("FINAL(llm_query('q'))", "<q>"),
        ("import asyncio\nawait asyncio.sleep(0)\nFINAL(llm_query('q'))", "<q>"),
        ("def f():\n    FINAL('from a function')\nf()", "from a function"),
        ("FINAL(None)", None),
    ],
)
def test_every_way_to_answer_hands_over_the_object_and_shows_nothing(kernel, code, value):
    ran = kernel.run(code)
    assert (ran.status, ran.error, ran.stdout, ran.stderr, ran.result) == ("ok", "", "", "", "")
    assert kernel.finals == [value]


def test_a_later_final_of_the_same_cell_is_sent_after_the_first(kernel):
    kernel.run("FINAL(1)\nFINAL(2)")
    assert kernel.finals == [1, 2]


def test_answer_is_armed_again_after_each_time_it_was_taken(kernel):
    kernel.run("answer['content'] = 1; answer['ready'] = True")
    kernel.run("1")
    assert kernel.run("answer['ready']").result == "False"
    kernel.run("answer['content'] = 2; answer['ready'] = True")
    assert kernel.finals == [1, 2]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("FINAL_VAR('y')", "NameError: There is no variable `y`. There are: `x`."),
        ("SUBMIT(1, b=2)", "TypeError: SUBMIT takes either values or named fields"),
        ("SUBMIT()", "TypeError: SUBMIT takes either values or named fields"),
        ("FINAL(__import__('threading').Lock())", "Unencodable: `value` cannot be transferred"),
        ("rlm_query('q', (i for i in 'ab'))", "Unencodable: `context` cannot be transferred"),
        ("llm_query_batched([1])", "TypeError: `prompts[0]` must be a `str`, not `int`."),
        ("rlm_query_batched(['a'], [1, 2])", "ValueError: There are 1 prompts and 2 contexts"),
        ("rlm_query(5)", "TypeError: The question must be a `str`, not `int`"),
        ("llm_query('q', 'the data')", "TypeError: `schema` must be a JSON Schema or a type that has one"),
        ("llm_query('q' * (17 << 20))", "TooLong: This call is too long."),
        ("llm_query('fail')", "RLMQueryError: no answer to fail"),
    ],
)
def test_wrong_use_raises_and_says_what_to_do(kernel, code, error):
    kernel.run("x = 1")
    ran = kernel.run(code)
    assert (ran.status, kernel.finals) == ("error", [])
    assert error in ran.error


def test_a_rejected_answer_stops_the_cell_with_the_engines_reason(kernel):
    async def reject(op, body, fds):
        raise BridgeError("rejected", "it must have a `date`")

    kernel.handler = reject
    ran = kernel.run("FINAL(1)\nprint('not reached')")
    assert "FinalRejected: it must have a `date`" in ran.error
    assert ran.stdout == ""


def test_a_rejected_answer_dict_is_told_on_stderr_and_must_be_made_ready_again(kernel):
    async def reject(op, body, fds):
        raise BridgeError("rejected", "it must have a `date`")

    kernel.handler = reject
    assert kernel.run("answer['ready'] = True").stderr == "FinalRejected: it must have a `date`\n"
    assert kernel.run("answer['ready']").result == "False"
    assert len(kernel.ops) == 1


def test_an_answer_whose_readiness_has_no_truth_is_told_and_the_rest_goes_on(kernel):
    ran = kernel.run("import numpy as np\nanswer = {'content': 1, 'ready': np.zeros(2)}\nx = 1")
    assert ran.stderr.startswith("ValueError: The truth value of an array")
    assert [item["name"] for item in kernel.changes[-1]["variables"]] == ["answer", "x"]
    assert kernel.finals == []


# -- sub-agents


def test_a_sub_agent_gets_the_object_with_its_description_and_gives_one_back(kernel):
    ran = kernel.run("r = rlm_query('q', {'a': 1}, tools=['t', print], mcp='m', name='counter')\nr")
    assert ran.result == "{'question': 'q', 'context': {'a': 1}}"
    (body,) = bodies(kernel, "rlm_query")
    assert body.pop("description")["type"] == "dict"
    known, own = body.pop("tools")
    assert (known, own["name"]) == ("t", "print")
    assert body == {"prompt": "q", "schema": None, "mcp": ["m"], "name": "counter"}


def test_without_data_no_descriptor_is_sent(kernel):
    assert kernel.run("await rlm_query('q')").result == "{'question': 'q', 'context': None}"
    assert bodies(kernel, "rlm_query")[0]["description"] is None


@pytest.mark.parametrize(
    ("code", "prompt", "context"),
    [
        ("llm_query([1, 2], instruction='add')", "add", [1, 2]),
        ("llm_query([1, 2])", "Say what is in `context`.", [1, 2]),
        ("llm_query({'n': 1}, dict)", "Answer from `context` what the schema asks for.", {"n": 1}),
        ("llm_query('text', instruction='add')", "add", "text"),
        ("llm_query('question', tools=['t'])", "question", None),
        ("llm_query('question', mcp=['m'])", "question", None),
    ],
)
def test_llm_query_with_data_an_instruction_or_tools_is_a_sub_agent(kernel, code, prompt, context):
    assert kernel.run(f"print({code})").stdout == f"{ {'question': prompt, 'context': context} }\n"


def test_a_function_that_calls_a_word_calls_the_word_of_the_agent_it_travels_to(kernel):
    async def echo(op, body, fds):
        return ({}, [os.dup(fds[0])]) if op == "rlm_query" else await kernel.answer(op, body, fds)

    kernel.handler = echo
    kernel.run("def ask(p): return llm_query(p).upper()\nother = rlm_query('q', ask)")
    assert kernel.run("other is not ask and other('x')").result == "'<X>'"


def test_a_failed_sub_agent_raises_with_what_it_had(kernel):
    async def fail(op, body, fds):
        raise BridgeError("limit", "calls are used up", fds=[encode([1, 2])], data={"limit": "calls"})

    kernel.handler = fail
    code = "try: rlm_query('q')\nexcept RLMQueryError as e: r = (type(e).__name__, e.kind, e.message, e.value, e.data)\nr"
    assert (
        kernel.run(code).result
        == "('LimitReached', 'limit', 'calls are used up', [1, 2], {'limit': 'calls'})"
    )


def test_at_the_depth_limit_a_plain_completion_gets_the_data_between_marks_that_it_does_not_hold(kernel):
    kernel.ask("configure", {"leaf": True, "words": {"fallback_chars": 100}})
    kernel.run(
        "rlm_query('how many?', 'x =====DATA===== y')\nrlm_query('and?', list(range(10_000)))\nrlm_query('alone')"
    )
    first, second, third = bodies(kernel, "llm_query")
    assert first["fallback"] is second["fallback"] is True
    assert first["prompt"].startswith("how many?\n")
    assert "The data, whole" in first["prompt"]
    assert first["prompt"].endswith("======DATA======\nx =====DATA===== y\n======DATA======\n")
    assert "The beginning of the data" in second["prompt"]
    assert len(second["prompt"]) < 1000
    assert third["prompt"] == "alone"


@pytest.mark.parametrize(
    ("data", "text", "whole"),
    [
        ("'abc' * 100", "abc" * 13 + "a", False),
        ("{'a': 1, 'b': [2]}", "'a': 1\n'b': [2]", True),
        ("b'abc'", "b'abc'", True),
        (
            "__import__('pandas').DataFrame({'n': range(1_000_000)})",
            ",n\n0,0\n1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n7,7\n8,8",
            False,
        ),
        ("__import__('pandas').DataFrame({'n': [7]})", ",n\n0,7\n", True),
        ("3.5", "3.5", True),
    ],
)
def test_data_as_text_is_bounded(kernel, data, text, whole):
    assert kernel.run(f"from _rlm.guest.depth_fallback import as_text; as_text({data}, 40)").result == str(
        (text, whole)
    )


# -- batches


def test_a_batch_keeps_the_order_and_one_failure_loses_no_other(kernel):
    ran = kernel.run("r = llm_query_batched(['a', 'fail', 'b'])\nprint(r, [bool(x) for x in r], r[1].kind)")
    assert ran.stdout == "['<a>', <Failed (failed): no answer to fail>, '<b>'] [True, False, True] failed\n"


@pytest.mark.parametrize("wait", ["", "await "])
def test_sub_agents_in_a_batch_get_one_context_each(kernel, wait):
    code = f"r = {wait}rlm_query_batched(['a', 'b', 'c'], [1, (i for i in 'x'), 3])\nprint(r[0]['context'], r[1], r[2]['context'])"
    out = kernel.run(code).stdout
    assert out.startswith("1 <Failed (unencodable): `context`")
    assert out.endswith("> 3\n")


def test_failures_among_the_items_of_an_answer_are_plain_data_for_the_notebook(kernel):
    async def keep(op, body, fds):
        if op != "final":
            return await kernel.answer(op, body, fds)
        kernel.finals.append((body["kind"], codec.load(fds[0], allow_pickle=False)))
        return {}, []

    kernel.handler = keep
    assert kernel.run("FINAL(llm_query_batched(['a', 'fail']))").error == ""
    failed = {"kind": "failed", "message": "no answer to fail", "value": None}
    assert kernel.finals == [("safe", ["<a>", failed])]


def test_batch_llm_query_gives_failures_a_place_too(kernel):
    ran = kernel.run("await batch_llm_query(llm_query('a'), llm_query('fail'), 'a value')")
    assert ran.result == "['<a>', <Failed (failed): no answer to fail>, 'a value']"


def test_a_large_batch_takes_turns(kernel):
    most = current = 0

    async def count(op, body, fds):
        nonlocal most, current
        current += 1
        most = max(most, current)
        await asyncio.sleep(0.001)
        current -= 1
        return body["prompt"], []

    kernel.handler = count
    code = "r = rlm_query_batched([str(i) for i in range(400)], list(range(400)))\nr == [str(i) for i in range(400)]"
    assert kernel.run(code).result == "True"
    assert most <= 100


# -- schemas


@pytest.mark.parametrize(
    ("schema", "sent", "given", "value"),
    [
        ("int", {"type": "integer"}, 5, "5"),
        ("float", {"type": "number"}, 5, "5.0"),
        ("bool", {"type": "boolean"}, True, "True"),
        ("str", {"type": "string"}, "x", "'x'"),
        ("list", {"type": "array"}, [1], "[1]"),
        ("dict", {"type": "object"}, {"a": 1}, "{'a': 1}"),
        ("{'type': 'integer'}", {"type": "integer"}, 5, "5"),
        ("list[int]", {"items": {"type": "integer"}, "type": "array"}, [1, 2], "[1, 2]"),
        ("tuple[int, str]", None, [1, "a"], "(1, 'a')"),
        ("Point", None, {"x": 1}, "Point(x=1)"),
    ],
)
def test_a_schema_may_be_a_type_and_the_answer_is_of_it(kernel, schema, sent, given, value):
    async def answer(op, body, fds):
        return given, []

    kernel.handler = answer
    kernel.run("import pydantic\nclass Point(pydantic.BaseModel): x: int")
    assert kernel.run(f"llm_query('q', schema={schema})").result == value
    (body,) = bodies(kernel, "llm_query")
    assert sent is None or body["schema"] == sent


@pytest.mark.parametrize("schema", ["int", "list[int]"])
def test_an_answer_that_does_not_fit_its_type_raises_with_the_answer(kernel, schema):
    async def answer(op, body, fds):
        return "five", []

    kernel.handler = answer
    code = f"try: llm_query('q', {schema})\nexcept RLMQueryError as e: r = e.kind, e.value\nr"
    assert kernel.run(code).result == "('failed', 'five')"


def test_plain_types_need_no_pydantic(kernel):
    code = "import sys, json\nsaved, sys.modules['pydantic'] = sys.modules.get('pydantic'), None\n"
    kernel.run(code)
    try:
        assert kernel.run("str(llm_query('q', str))").result == "'<q>'"
        assert (
            "pydantic, which knows others, is not installed here"
            in kernel.run("llm_query('q', list[int])").error
        )
    finally:
        kernel.run("if saved: sys.modules['pydantic'] = saved\nelse: del sys.modules['pydantic']")


# -- what is left, what is there


def test_budget_is_a_dict_that_reads_well(kernel):
    assert kernel.run("budget()").result == "calls: 7, cost: 0.50, seconds: no limit"
    assert kernel.run("(await budget())['calls']").result == "7"


def test_show_vars_prints_a_line_per_variable(kernel):
    kernel.load({"a": 1}, "context")
    ran = kernel.run(
        "import os\nn = 5\ndef f(): pass\nfrom json import dumps\nr = SHOW_VARS()\nassert not r\nSHOW_VARS()"
    )
    names = [line.split(":")[0] for line in ran.stdout.splitlines()]
    assert (names, ran.result) == (["context", "n", "f", "context", "n", "f", "r"], "")


# -- words that the code overwrites


def test_overwritten_words_are_back_in_the_next_cell(kernel):
    assert kernel.run("SHOW_VARS = llm_query = 'mine'\nllm_query").result == "'mine'"
    assert kernel.run("llm_query('a')").result == "'<a>'"
    kernel.run("FINAL(1)")
    assert kernel.finals == [1]


def test_data_that_the_code_calls_answer_budget_or_context_stays(kernel):
    kernel.load("the data", "context")
    kernel.run("answer = [1]; budget = 100; context = context.upper()")
    assert kernel.run("answer, budget, context").result == "([1], 100, 'THE DATA')"


def test_data_may_carry_the_name_of_a_word(kernel):
    kernel.load(len, "llm_batch", "budget")
    kernel.run("1")
    assert kernel.run("llm_batch is budget is len").result == "True"
    kernel.clear()
    assert kernel.run("llm_batch(['a'])").result == "['<a>']"


def test_deleted_words_are_back_in_the_next_cell(kernel):
    kernel.run("%reset -f")
    assert kernel.run("llm_query('a')").result == "'<a>'"


def test_code_that_breaks_builtins_and_modules_breaks_only_itself(kernel):
    code = (
        "import builtins, json, threading, asyncio\n"
        "kept = {m: dict(vars(m)) for m in (builtins, json)}\n"
        "for name in ('print', 'open', 'dict', 'sum', 'sorted', 'callable', 'bool', 'zip'): setattr(builtins, name, None)\n"
        "json.dumps = json.loads = None\n"
        "try: r = llm_query('a'), llm_query_batched('ab')[0]; json.dumps = kept[json]['dumps']; FINAL(r)\n"
        "finally:\n    for m in kept: vars(m).update(kept[m])\nr"
    )
    assert kernel.run(code).result == "('<a>', '<ab>')"
    assert kernel.finals == [("<a>", "<ab>")]


def test_helpers_raise_what_a_plain_call_would_in_a_child_process(kernel):
    code = (
        "import os\nr, w = os.pipe()\npid = os.fork()\n"
        "if not pid:\n    try: llm_query('a')\n    except RLMQueryError as e: os.write(w, e.message.encode())\n    finally: os._exit(0)\n"
        "os.waitpid(pid, 0)\nprint(os.read(r, 999).decode())\nllm_query('b')"
    )
    ran = kernel.run(code)
    assert ran.stdout.startswith("Only the kernel's own process can call the engine")
    assert ran.result == "'<b>'"


def test_a_look_has_its_functions_also_if_a_cell_has_called_one_before(kernel):
    kernel.load("a 1\nb 2", "context")
    assert kernel.run("print(find_lines(context, 'the b line'))").stdout == "[]\n"
    names = kernel.ask("helpers", {"question": "which?"})[0]["names"]
    assert {"find_lines", "parse_lines", "describe"} <= set(names)
    assert kernel.run("find_lines = 3\nprint(find_lines)").stdout == "3\n"
    assert "find_lines" not in kernel.ask("helpers", {"question": "which?"})[0]["names"]
