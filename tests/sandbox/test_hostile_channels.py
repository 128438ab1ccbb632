"""What agents, models, servers and logs hand over: it makes no request, opens no file, and holds up nothing.

A test for each channel of docs/threat-model.md that no other suite has. All of them run beside a listener that must
get no connection, planted files whose words may appear nowhere, and a watchdog on the engine's loop.
"""

import asyncio
import json
import os
import re
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path

import pytest
from loop_watchdog import Watchdog
from run_parts import asking
from scripts import Raw, by_question

from rlm_jupyter import host_tool
from rlm_jupyter.engine.agent_requests.descriptions import (
    MOST_CHANGES,
    MOST_VARIABLES,
    Variables,
    description_of,
)
from rlm_jupyter.engine.reply.parse import parse_reply
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.engine.typed_answers.json_in_text import find_json
from rlm_jupyter.errors import ConfigError, LogError
from rlm_jupyter.events import events as ev
from rlm_jupyter.models.base import Completion
from rlm_jupyter.models.cache import ReplyCache
from rlm_jupyter.records import load
from rlm_jupyter.records.export import to_notebook, to_script
from rlm_jupyter.tools.functions import tool_from_agent
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.text_tree import tree as render_tree

SECRET = "TOPSECRET-4711"


class Listener:
    """A port on loopback that counts who comes."""

    def __init__(self):
        self.came = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.came += 1
            connection.close()

    def close(self):
        self._socket.close()


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    assert listener.came == 0
    listener.close()


@pytest.fixture
def planted(tmp_path):
    """Files of the user that hold a secret, as a schema and as a time zone."""
    (tmp_path / "secret.json").write_text(json.dumps({"const": SECRET}))
    (tmp_path / "zone").write_bytes(b"TZif" + SECRET.encode())
    return tmp_path


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask
    for log in (tmp_path / "logs").glob("**/*"):
        assert log.is_dir() or SECRET not in log.read_text("utf-8", "replace")


def hostile_schemas(url, folder):
    outside = [
        {"$ref": f"{url}/?d=data"},
        {"$ref": f"file://{folder}/secret.json"},
        {"$dynamicRef": f"{url}/d"},
    ]
    wrapped = [
        shape(one)
        for one in outside
        for shape in (
            lambda s: {"allOf": [s]},
            lambda s: {"$defs": {"a": s}, "$ref": "#/$defs/a"},
            lambda s: {"type": "object", "properties": {"a": {"items": s}}},
            lambda s: {"patternProperties": {"^a": s}, "type": "object"},
        )
    ]
    return [
        *outside, *wrapped,
        {"$id": f"{url}/root", "properties": {"a": {"$id": f"file://{folder}/", "$ref": "secret.json"}}},
        {"$id": f"file://{folder}/", "$ref": "secret.json", "title": "a"},
        {"type": "string", "pattern": "(?=a)(a+)+$"},
        {"type": "string", "pattern": "(?:(?:(?:a?){100}){100}){10}c"},
        {"a": f"datetime64[ns, dateutil/{folder}/zone]"},
        {"type": f"datetime64[ns, dateutil/{folder}/zone]"},
        {"a": "S2000000000"},
        {"a": "f8," + " " * 20_000 + "x"},
        {"enum": ["x" * 100] * 10_000},
    ]  # fmt: skip


def slow_schemas():
    doubling = {f"n{n}": {"anyOf": [{"$ref": f"#/$defs/n{n + 1}"}] * 2} for n in range(40)}
    return [
        {"type": "string", "pattern": "^(a+)+$"},
        {"type": "string", "pattern": "^(a|aa)+$"},
        {"type": "object", "patternProperties": {"^(a+)+$": False}},
        {"$ref": "#"},
        {"$ref": "#/$defs/n0", "$defs": {**doubling, "n40": False}},
    ]


TRIED = """
found = []
for schema in context:
    for ask in (lambda: llm_query("say x", schema=schema), lambda: llm_query_batched(["say x"], schema=schema)[0],
                lambda: rlm_query("sub", schema=schema), lambda: rlm_query_batched(["sub"], schema=schema)[0]):
        try: found.append(str(ask()))
        except Exception as error: found.append(str(error))
FINAL(found)
"""


def test_an_agents_schema_fetches_nothing_opens_nothing_and_is_refused_before_any_request(
    ask, listener, planted
):
    schemas = hostile_schemas(listener.url, planted)
    model = by_question({"root": [TRIED], "sub": [f"FINAL('{'a' * 40}!')"]}, plain='"x"')
    with Watchdog():
        run = ask(None, context=schemas, model=model)
    found = run.raise_for_error().value
    assert len(found) == 4 * len(schemas)
    assert SECRET not in json.dumps(found)
    assert all("schema" in said for said in found), found
    assert set(run.tree.agents) == {"0"}  # no sub-agent began, no completion was asked
    assert run.tree.agents["0"].calls == []
    assert SECRET not in json.dumps([message["content"] for message in run.messages()])


def test_an_agents_schema_holds_up_nobody(ask, listener):
    model = by_question(
        {"root": [TRIED], "sub": [f"FINAL('{'a' * 4000}!')"]}, plain=json.dumps("a" * 4000 + "!")
    )
    with Watchdog():
        run = ask(None, context=slow_schemas()[:3], model=model)
    found = run.raise_for_error().value
    assert sum("does not match" in said or "not of type" in said for said in found) >= 4


def test_a_schema_that_is_work_without_end_costs_its_own_agent_alone(ask):
    other = "FINAL(sum(1 for _ in range(20) if llm_query('say x')))"
    code = """
import threading
def hopeless():
    try: llm_query("say x", schema=context)
    except Exception as error: print(str(error)[:100])
threads = [threading.Thread(target=hopeless) for _ in range(4)]
for one in threads: one.start()
FINAL(rlm_query("other"))
"""
    model = by_question({"root": [code], "other": [other]}, plain='"x"')
    with Watchdog():
        run = ask(None, context=slow_schemas()[4], model=model)
    assert run.raise_for_error().value == 20


# ---- values


VALUES = {
    "circle": "a = []; a.append(a); FINAL(a)",
    "doubling": "a = []\nfor _ in range(60): a = [a, a]\nFINAL(a)",
    "mistakes": "FINAL([0] * 60_000 + ['x'] * 400_000)",
    "integer": "FINAL([1 << 3_000_000])",
    "structure": "FINAL([{'a': n} for n in range(1_200_000)])",
    "texts": "FINAL(['a' * 100_000 + '!'] * 50)",
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_does_not_match_the_users_schema_is_sent_back_without_a_stall(ask, name):
    from typing import Annotated

    from pydantic import StringConstraints

    schema = list[Annotated[str, StringConstraints(pattern="^(a+)+$")]] if name == "texts" else list[int]
    with Watchdog():
        run = ask(
            {"root": [VALUES[name], "FINAL(['aaa'])" if name == "texts" else "FINAL([7])"]}, schema=schema
        )
    value = run.raise_for_error().value
    assert value == ([1 << 3_000_000] if name == "integer" else ["aaa"] if name == "texts" else [7])
    reasons = [event.reason for event in run.events if isinstance(event, ev.ValueRejected)]
    if name != "integer":  # an integer of any size is one
        assert len(reasons) == 1
        assert len(reasons[0]) < 3_000


def test_arguments_of_a_host_tool_are_data_within_bounds(ask):
    @host_tool
    def count(value: object) -> int:
        """Count."""
        return len(value)

    code = """
found = []
class Odd:
    def __reduce__(self): return (print, ("run",))
for value in ([{'a': n} for n in range(1_200_000)], [Odd()], [[1, 2]]):
    try: found.append(count(value))
    except Exception as error: found.append(str(error))
FINAL(found)
"""
    with Watchdog():
        run = ask({"root": [code]}, tools=[count])
    large, odd, fine = run.raise_for_error().value
    assert "MB of lists and dicts" in large
    assert "plain data" in odd
    assert fine == 1


# ---- names and descriptions that a kernel sends


def test_descriptions_of_a_kernel_are_cut_to_what_is_shown():
    told = description_of(
        {"type": "x" * 10_000, "summary": ["y"] * 10_000, "rows": [["z" * 1000] * 1000], "odd": 1}
    )
    assert set(told) == {"type", "summary", "truncated"}
    assert len(json.dumps(told)) < 1_000
    assert description_of(None) == {"type": "object", "summary": "object"}
    small = {"type": "list", "summary": "s", "rows": [[1]], "columns": [{"name": "a"}], "bytes": 3}
    assert description_of(small) == small


def test_names_of_variables_are_bounded_in_length_and_number():
    variables = Variables()
    described, _ = variables.changed([{"name": "n" * 10_000_000}, {"name": ["x"]}, {}, 3], ["never told"])
    assert [len(one["name"]) for one in described] == [200, 4]
    for start in range(0, 20_000, 1000):
        variables.changed([{"name": f"v{number}"} for number in range(start, start + 1000)], "no list")
    assert variables.changed([{"name": "one more"}], []) == ((), ())
    assert variables.changed([], ["v1", "n" * 10_000_000])[1] == ("v1", "n" * 200)
    variables.changed([{"name": "v1"}], [])
    assert len(variables._names) == MOST_VARIABLES - 1
    for _ in range(MOST_CHANGES):
        last = variables.changed([{"name": "v2"}], [])
    assert last == ((), ())


FLOOD = """
link = __import__('sys').modules['_rlm.guest.agent_side']._here().link
for number in range(40):
    told = [{'name': 'n' * 100_000 + str(n), 'rows': ['x' * 10_000] * 10} for n in range(40)]
    link.submit('cell_done', {'variables': told, 'removed': ['y' * 1_000_000]})[1].result(30)
FINAL('done')
"""


def test_a_kernel_that_floods_its_descriptions_fills_neither_tree_nor_log(ask, tmp_path):
    with Watchdog():
        run = ask({"root": [FLOOD]})
    assert run.raise_for_error().value == "done"
    assert all(len(name) <= 200 for name in run.tree.agents["0"].variables)
    assert sum(log.stat().st_size for log in (tmp_path / "logs").glob("*.jsonl")) < 20_000_000


def test_a_function_is_handed_on_under_a_name_of_bounded_length_alone():
    for name in ("f" * 100_000, "f\nimport os", "", 3, None, "FINAL"):
        with pytest.raises(ConfigError) as caught:
            tool_from_agent(name, "(a)" * 1_000_000, "d" * 1_000_000, awaited=False, code=None)
        assert len(caught.value.message) < 300
    tool = tool_from_agent("f" * 200, "(a)" * 1_000_000, "d\n" * 1_000_000, awaited=False, code=None)
    assert len(tool.text) < 5_000


# ---- output that is sent past the kernel's own bounds

OUTPUT = """
kernel = get_ipython().kernel
def send(kind, content, parent=None):
    header = kernel.get_parent() if parent is None else parent
    message = kernel.session.msg(kind, content={}, parent=header)
    message['content'] = content  # past the kernel's own bounds, which are in `send`
    kernel.iopub_socket.send_multipart(kernel.session.serialize(message, ident=b'kernel.' + kind.encode()))
"""
SHAPES = """
send('stream', b'["no dict"]')
send('stream', b'3')
send('status', b'[]')
send('stream', {'name': ['x'], 'text': {'a': 1}})
send('error', {'ename': 3, 'evalue': ['x'], 'traceback': 'no list'})
send('stream', {'name': 'stdout', 'text': 'y'}, parent={'header': {'msg_id': ['x']}})
print('after all')
"""
LARGE = """
send('stream', {'name': 'stdout', 'text': 'x' * 60_000_000})
send('display_data', b'{"metadata": {}, "data": {"text/plain": [' + b'{"a":[1]},' * 6_000_000 + b'0]}}')
FINAL('done')
"""


def test_output_of_any_shape_and_size_holds_up_nobody(ask):
    with Watchdog():
        run = ask({"root": [OUTPUT + SHAPES, LARGE]})
    assert run.raise_for_error().value == "done"
    assert "after all" in run.tree.agents["0"].turns[0].cells[0].output


# ---- replies

PIECES = [
    " ", "\t", "\n", " \n", "`", "```", "```\n", "```python\n", "~~~\n", "'", '"', "'''", '"""', "\\", "\\N{", "(", ")", "[", "- ",
    "1. ", "<think>", "</think>", "<think>\n", "\n</think>", "<code>\n", "</code>\n", "= ", "%a\n", "a?\n", "a```\n", "FINAL(",
    "FINAL(1)", "FINAL(1) ", "FINAL_VAR(x)\n", "if FINAL(a ", "python\n", "output\n", "# ```\n", ". ", "\r", "\u2028", "\ud800",
    "lambda:", "not ", "-", "~", "x=", "f'{", "await ",
]  # fmt: skip
AROUND = [("", ""), ("```python\n", "\n```"), ("FINAL(1)", "x"), ("```python\nx='", "\n```\n"), ("a", "`x")]


@pytest.mark.parametrize("around", AROUND)
def test_replies_of_one_piece_without_end_are_read_in_a_time_that_grows_with_their_length(around):
    """What grows with the square takes hours here."""
    for piece in PIECES:
        text = around[0] + piece * (200_000 // len(piece)) + around[1]
        reply = parse_reply(text)
        assert bool(reply.blocks) is not bool(reply.problem)


def test_a_reply_of_blanks_holds_up_nobody(ask):
    replies = [Raw("FINAL(1)" + " " * 300_000 + "x"), Raw("FINAL(" * 30_000), Raw("`" * 300_000), "FINAL(2)"]
    with Watchdog():
        run = ask({"root": replies})
    assert run.raise_for_error().value in (1, 2)


def test_a_reply_longer_than_any_model_writes_is_not_read():
    reply = parse_reply("```python\nFINAL(1)\n```\n" + "`" * 60_000_000)
    assert not reply.blocks
    assert "more than are read" in reply.problem
    with pytest.raises(ValueError, match="more than are read"):
        find_json("[" * 60_000_000)


def test_a_completion_of_brackets_holds_up_nobody(ask):
    code = """
try: FINAL(llm_query("say x", schema={"type": "array"}))
except Exception as error: FINAL(str(error)[:60])
"""
    with Watchdog():
        run = ask(None, model=by_question({"root": [code]}, plain="[" * 400_000 + "{" * 400_000))
    assert "does not match the schema" in run.raise_for_error().value


# ---- MCP


def test_an_mcp_server_that_means_harm_fetches_nothing_and_holds_up_nobody(ask, listener):
    script = str(Path(__file__).parents[1] / "support" / "hostile_mcp_server.py")
    server = {"command": sys.executable, "args": [script, listener.url]}
    code = """
found = {'tools': len(mcp_list_tools('bad')), 'schema': mcp_tool_schema('bad', 'backtracks')['input_schema']}
for tool in ('backtracks', 'fetches', 'links', 'none'):
    try: found[tool] = mcp_call('bad', tool, {})
    except Exception as error: found[tool] = str(error)[:200]
FINAL(found)
"""
    with Watchdog():
        run = ask({"root": [code]}, mcp={"bad": server})
    found = run.raise_for_error().value
    assert found["tools"] == 2003
    assert found["schema"]["$ref"] == f"{listener.url}/input"  # data, for the agent to read
    assert found["backtracks"]["structured"] == {"a": "a" * 40 + "!"}
    assert found["fetches"]["structured"] == {"a": 1}
    assert [part["type"] for part in found["links"]["content"]] == ["resource_link", "resource", "image"]


# ---- logs that somebody sends, and what is made of them


def hostile_log(url, odd=1e308, run="r"):
    text = f"<img src={url}/x><script>fetch('{url}')</script>\n# %%\nimport os\x1b[2J ![x]({url}/y.png)"
    base = {"run": run, "seq": 1, "time": odd}
    started = {"parent": "0", "depth": 10**9, "question": text, "model": text, "name": text, "context": {"rows": text, "columns": 3, "shape": ["x"]}}  # fmt: skip
    deep = {"a": json.loads("[" * 150 + "]" * 150)}
    return [
        {**base, "kind": "run_started", "agent": "", "question": text, "model": text, "sub_model": text, "scripted": True, "limits": {"cost": "x", "agents": text}, "context": deep, "provenance": text, "sandbox": text},
        {**base, "kind": "agent_started", "agent": "0", **started},  # its own parent
        {**base, "kind": "agent_started", "agent": "0.1", **started, "parent": "0.1.1"},
        {**base, "kind": "agent_started", "agent": "0.1.1", **started, "parent": "0.1"},  # a circle
        {**base, "kind": "agent_started", "agent": text, **started},
        {**base, "kind": "prompt_sent", "agent": "0", "call": 1, "purpose": "turn", "turn": -5, "gen_ai.request.model": text, "start": 10**12, "gen_ai.input.messages": [{"role": "user"}, {"role": text, "content": text}]},
        {**base, "kind": "prompt_sent", "agent": "0", "call": 2, "purpose": "turn", "turn": 1, "gen_ai.request.model": text, "gen_ai.input.messages": [{"role": "user", "content": text}]},
        {**base, "kind": "reply_finished", "agent": "0", "call": 2, "gen_ai.output.text": text, "gen_ai.response.model": text, "gen_ai.response.finish_reason": text, "gen_ai.usage.input_tokens": 10**18, "gen_ai.usage.output_tokens": -1, "cost": odd, "seconds": -odd},
        {**base, "kind": "code_started", "agent": "0", "cell": 1, "turn": 1, "code": text},
        {**base, "kind": "code_finished", "agent": "0", "cell": 1, "status": "ok", "output": text, "cut": -1, "seconds": odd},
        {**base, "kind": "variables_changed", "agent": "0", "turn": 1, "variables": [{"summary": text}, {"name": text, "bytes": "x"}, {"name": ["x"]}]},
        {**base, "kind": "tool_called", "agent": "0", "name": text, "server": text, "turn": 1, "seconds": -1, "ok": False, "error": text},
        {**base, "kind": "table_queried", "agent": "0", "source": text, "table": text, "text": text, "turn": 1, "rows": -1, "seconds": -1, "ok": False, "error": text},
        {**base, "kind": "kernel_started", "agent": "0", "confinement": {"limits": text, "holds": 3, "net": 4}},
        {**base, "kind": "command", "agent": "", "name": "limit", "detail": f"cost={text}"},
        {**base, "kind": "command", "agent": "", "name": "limit", "detail": "cost=inf"},
        {**base, "kind": "waiting", "agent": "0", "reason": "budget", "seconds": odd, "call": 10**15},
        {**base, "kind": "agent_finished", "agent": "0", "status": "done", "value": {"type": 3, "summary": [text], "preview": {"a": 1}}},
        {**base, "kind": "run_finished", "agent": "", "status": "done", "value": deep, "error": text, "error_type": text},
    ]  # fmt: skip


@pytest.mark.parametrize("odd", [1e308, float("nan"), float("-inf")])
@pytest.mark.parametrize("number", range(18))
def test_a_log_that_somebody_made_is_read_shown_and_exported_or_refused(tmp_path, listener, number, odd):
    """Each event alone after the first two, and all of them together."""
    events = hostile_log(listener.url, odd)
    chosen = events if number == 17 else [*events[:2], events[min(number, 16)]]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in chosen))
    try:
        tree = load(path).tree
    except LogError:
        return
    html = static_html(tree)
    for markup in ("<img", "<script", "javascript:"):
        assert markup not in html
    text = render_tree(tree)
    assert "\x1b" not in text
    for cell in to_notebook(tree)["cells"]:
        if cell["cell_type"] == "markdown":
            lines = cell["source"].splitlines()
            assert all(line.startswith("    ") or not {"<", "!", "["} & set(line) for line in lines), lines
    script = to_script(tree).split("\n# %%\n")
    assert all(line.startswith("#") or not line for line in script[0].splitlines())


def test_a_log_of_very_many_agents_and_levels_is_shown_in_bounded_size(tmp_path):
    base = {"run": "r", "seq": 1, "time": 1.0}
    started = {"kind": "agent_started", "question": "q", "model": "m"}
    events = [{**base, "kind": "run_started", "agent": "", "question": "q", "model": "m", "sub_model": "m", "scripted": True, "limits": {}, "context": None}]  # fmt: skip
    ids = ["0"]
    for _ in range(3000):
        ids.append(ids[-1] + ".1")
    events += [
        {**base, **started, "agent": id_, "parent": ids[n - 1] if n else None, "depth": n}
        for n, id_ in enumerate(ids)
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    tree = load(path).tree
    assert len(static_html(tree)) < 400_000
    assert len(render_tree(tree)) < 10_000_000
    assert len(to_notebook(tree)["cells"]) == 3002


def test_what_is_no_log_is_refused_in_a_sentence(tmp_path):
    for number, content in enumerate(
        (b"", b"[" * 1_000_000, b"{}\n" * 1000, os.urandom(10_000), b'{"kind": "x"}')
    ):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(content)
        with pytest.raises(LogError, match="not a log of a run"):
            load(path)


# ---- the cache's database

ROWS = [
    "[" * 100_000, "3", "null", "{}", '{"usage": 3}', '{"text": 3, "usage": null, "cost": null, "model": "m", "finish_reason": "stop", "attempts": 1}',
    '{"text": "x", "usage": ["a", "b", "c", "d"], "cost": "y", "model": [], "finish_reason": "stop", "attempts": "z"}',
    '{"text": "x", "usage": [-5, 1e400, 0, false], "cost": NaN, "model": "m", "finish_reason": "stop", "attempts": 1}',
    '{"text": "x", "usage": null, "cost": -1, "model": "m", "finish_reason": "stop", "attempts": 1, "more": 1}',
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_cache_that_is_no_reply_counts_as_none(tmp_path, row):
    path = tmp_path / "replies.sqlite3"
    with ReplyCache(path) as cache:
        cache.put(
            "good", Completion(text="x", usage=None, cost=0.5, model="m", finish_reason="stop", attempts=1)
        )
        cache.close()
        with sqlite3.connect(path) as db:
            db.execute("INSERT INTO replies VALUES ('bad', ?, 1, 1)", (row,))
            db.execute("INSERT INTO replies VALUES ('blob', ?, 1, 1)", (b"\xff\xfe",))
        db.close()
        assert cache.get("bad") is None
        assert cache.get("blob") is None
        assert cache.get("good").text == "x"


# ---- the page and the means


def test_each_test_that_the_threat_model_names_is_there():
    root = Path(__file__).parents[2]
    page = (root / "docs" / "threat-model.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`test_" in line]
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    assert len(rows) >= 20
    assert named - {path.stem for path in (root / "tests").rglob("test_*.py")} == set()


def test_the_watchdog_sees_a_loop_that_stands_still():
    """That the tests above can fail."""

    async def compute():
        end = time.process_time() + 0.6
        while time.process_time() < end:
            pass

    async def work():
        await asyncio.sleep(0.1)
        await compute()
        await asyncio.sleep(0.1)

    with pytest.raises(AssertionError, match="stood still"), Watchdog():
        engine().submit(work()).result(100)


def test_the_listener_sees_who_comes():
    listener = Listener()
    host, port = listener.url.removeprefix("http://").split(":")
    socket.create_connection((host, int(port))).close()
    end = time.monotonic() + 20
    while not listener.came and time.monotonic() < end:
        time.sleep(0.01)
    assert listener.came == 1
    listener.close()
