"""MCP servers: real ones, over stdio and over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from mcp_server import PIXEL
from scripts import cell, question_of
from tool_runs import asking, told

from rlm_jupyter import RLM
from rlm_jupyter.errors import ConfigError, ToolError
from rlm_jupyter.models import ScriptedModel

SCRIPT = str(Path(__file__).parents[1] / "support" / "mcp_server.py")
SHOP = {"command": sys.executable, "args": [SCRIPT, "stdio"]}


@pytest.fixture
def ask(tmp_path):
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with asking(tmp_path) as ask:
        yield ask
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not [child for child in left if SCRIPT in _command(child) and "http" not in _command(child)]


@pytest.fixture(scope="module")
def http_url():
    with subprocess.Popen(
        [sys.executable, SCRIPT, "http"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        port = int(server.stdout.readline())
        url = f"http://127.0.0.1:{port}/mcp"
        until(lambda: _listens(port))
        yield url
        server.kill()


@pytest.fixture(params=["stdio", "http"])
def shop(request):
    return SHOP if request.param == "stdio" else {"url": request.getfixturevalue("http_url")}


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ends(pids, seconds=10):
    """Wait for the end of processes; give those that live on."""
    deadline = time.monotonic() + seconds
    while (living := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return living


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_tools_and_resources_of_a_server_as_plain_data(ask, shop):
    code = (
        "names = [t['name'] for t in mcp_list_tools('shop')]\n"
        "schema = await mcp_tool_schema('shop', 'add')\n"
        "added = await mcp_call('shop', 'add', {'a': 2, 'b': 3})\n"
        "stock = await mcp_call('shop', 'stock', {'article': 'apples'})\n"
        "picture = await mcp_call('shop', 'picture')\n"
        "resources = await mcp_list_resources('shop')\n"
        "templates = await mcp_list_resource_templates('shop')\n"
        "read = [await mcp_read_resource('shop', u) for u in ('shop://rules', 'shop://logo', 'shop://articles/pear')]\n"
        "FINAL([names, schema, added, stock, picture, resources, templates, read])"
    )
    names, schema, added, stock, picture, resources, templates, read = ask(
        {"root": [code]}, mcp={"shop": shop}
    ).value
    assert {"add", "stock", "picture"} < set(names)
    assert schema["description"] == "Add two numbers."
    assert schema["input_schema"]["required"] == ["a", "b"]
    assert (added["text"], added["structured"]) == ("5", {"result": 5})
    assert json.loads(stock["text"]) == {"north": 6, "south": 0}
    assert stock["structured"]["north"] == 6
    assert picture["content"] == [{"type": "image", "data": PIXEL, "mime_type": "image/png"}]
    assert {one["uri"] for one in resources} == {"shop://rules", "shop://logo"}
    assert [one["uri_template"] for one in templates] == ["shop://articles/{name}"]
    assert [part.get("text", part.get("data")) for (part,) in read] == ["no refunds", PIXEL, "about pear"]


def test_calls_block_or_are_awaited_and_run_at_once(ask, shop):
    code = (
        "import asyncio\n"
        "def plain(n):\n    return mcp_call('shop', 'add', {'a': n, 'b': 1})['structured']['result']\n"
        "many = await asyncio.gather(*(mcp_call('shop', 'add', {'a': n, 'b': 0}) for n in range(20)))\n"
        "FINAL([plain(1), [one['structured']['result'] for one in many]])"
    )
    assert ask({"root": [code]}, mcp={"shop": shop}).value == [2, list(range(20))]


def test_the_first_prompt_says_counts_only_and_the_words(ask, shop):
    run = ask({"root": ["FINAL(1)"]}, mcp={"shop": shop})
    first = run.messages()[1]["content"]
    assert "`shop` (9 tools, 2 resources, 1 resource template)" in first
    assert "mcp_tool_schema(server, tool)" in first
    assert "Add two numbers" not in told(run)


def test_a_run_without_servers_is_told_nothing_of_them(ask):
    run = ask({"root": ["try:\n    mcp_list_tools('shop')\nexcept RLMQueryError as e:\n    FINAL(str(e))"]})
    assert "has no MCP server `shop`. It has: none" in run.value
    assert "mcp" not in run.messages()[1]["content"].lower()


def test_each_call_is_an_event_and_a_row_of_the_tree(ask, http_url):
    code = "mcp_list_tools('shop')\nfor n in range(2):\n    mcp_call('shop', 'add', {'a': 1, 'b': n})\nmcp_call('shop', 'fail')"
    run = ask({"root": [code, "FINAL(1)"]}, mcp={"shop": {"url": http_url}})
    called = [(e.server, e.name, e.ok) for e in run.events if e.kind == "tool_called"]
    assert called == [
        ("shop", "list_tools", True),
        ("shop", "add", True),
        ("shop", "add", True),
        ("shop", "fail", False),
    ]
    tools = run.tree.agents["0"].tools
    assert (tools["shop.add"].calls, tools["shop.fail"].failed) == (2, 1)
    assert "there is no such article" in tools["shop.fail"].error


def test_what_fails_says_why_in_the_agents_code(ask, http_url):
    says = {
        "mcp_call('shop', 'fail')": "there is no such article",
        "mcp_call('shop', 'add', {'a': 'x', 'b': 1})": "valid integer",
        "mcp_call('shop', 'sell')": "sell",
        "mcp_tool_schema('shop', 'sell')": "has no tool `sell`. It has: `add`, `stock`",
        "mcp_read_resource('shop', 'shop://nothing')": "`shop` failed",
        "mcp_call('bank', 'add')": "no MCP server `bank`. It has: `shop`",
        "mcp_call('shop', 'add', {'a': {1, 2}})": "must be JSON data",
    }
    code = "said = []\n" + "".join(
        f"try:\n    {call}\nexcept (RLMQueryError, TypeError) as e:\n    said.append(str(e))\n"
        for call in says
    )
    said = ask({"root": [code, "FINAL(said)"]}, mcp={"shop": {"url": http_url}}).value
    assert len(said) == len(says)
    for text, part in zip(said, says.values(), strict=True):
        assert part in text


def test_sub_agents_have_the_servers_that_they_are_handed_by_name_and_share_the_process(ask):
    pid = "mcp_call('shop', 'process', {'variable': 'X'})['structured']['pid']"
    script = {
        "root": [
            f"FINAL([{pid}, rlm_query('with', mcp=['shop']), rlm_query('with', mcp='shop'), rlm_query('without')])"
        ],
        "with": [f"FINAL({pid})"],
        "without": [
            (
                f"try:\n    {pid}\nexcept RLMQueryError as e:\n    one = str(e)\n"
                "try:\n    rlm_query('q', mcp=['shop'])\nexcept RLMQueryError as e:\n    FINAL([one, str(e)])"
            )
        ],
    }
    run = ask(script, mcp={"shop": SHOP}, inherit_tools=True)
    one, two, three, (called, handed) = run.value
    assert one == two == three
    assert "no MCP server `shop`. It has: none" in called
    assert "no MCP server `shop` to hand on" in handed
    assert "`shop` (9 tools" in run.messages("0.1")[1]["content"]
    assert "`shop`" not in run.messages("0.3")[1]["content"]


def test_a_server_starts_once_and_with_its_environment_and_ends_with_the_run(ask):
    process = "mcp_call('shop', 'process', {'variable': 'SHOP_TOKEN'})['structured']"
    server = {**SHOP, "env": {"SHOP_TOKEN": "very-secret-token"}}
    run = ask({"root": [f"a = {process}", f"b = {process}\nprint(b)", "FINAL([a, b])"]}, mcp={"shop": server})
    one, two = run.value
    assert one == two
    assert one["value"] == "very-secret-token"
    assert "very-secret-token" not in told(run) + run.log_path.read_text()
    assert not alive(int(one["pid"]))


def test_the_server_knows_nothing_of_the_notebooks_environment(ask, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-notebook")
    code = "FINAL(mcp_call('shop', 'process', {'variable': 'OPENAI_API_KEY'})['structured']['value'])"
    assert ask({"root": [code]}, mcp={"shop": SHOP}).value == "not set"


def test_a_server_and_what_it_started_end_when_a_run_is_stopped(ask):
    code = (
        "pid = int(mcp_call('shop', 'process', {'variable': 'X'})['structured']['pid'])\n"
        "other = mcp_call('shop', 'detach')['structured']['result']"
    )
    run = ask(
        {"root": [code, "mcp_call('shop', 'linger', {'seconds': 600})"]}, mcp={"shop": SHOP}, wait=False
    )
    until(lambda: run.agents and run.tree.agents["0"].cells == 2)
    time.sleep(0.3)
    run.stop()
    run.wait(60)
    assert run.status == "stopped"
    pids = [run.agents["0"].pull(name) for name in ("pid", "other")]
    assert not [pid for pid in pids if alive(pid)]


def test_a_server_ends_when_a_run_fails(ask):
    code = "pid = int(mcp_call('shop', 'process', {'variable': 'X'})['structured']['pid'])"
    run = ask({"root": [code, "```text\nno code\n```"]}, mcp={"shop": SHOP})
    assert run.status == "failed"
    assert not alive(run.agents["0"].pull("pid"))


@pytest.mark.skipif(sys.platform == "win32", reason="mcp's own job object does it there")
def test_a_server_and_what_it_started_die_with_the_notebook(tmp_path):
    told_pids = tmp_path / "pids"
    notebook = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from scripts import by_question
from rlm_jupyter import RLM, host_tool
@host_tool
def note(text):
    open({str(told_pids)!r} + ".new", "w").write(text)
    __import__("os").rename({str(told_pids)!r} + ".new", {str(told_pids)!r})
code = '''
pid = mcp_call("shop", "process", dict(variable="X"))["structured"]["pid"]
other = mcp_call("shop", "detach")["structured"]["result"]
note(f"{{pid}} {{other}}")
mcp_call("shop", "linger", dict(seconds=60))
'''
shop = {SHOP!r}
RLM(model=by_question({{"root": [code]}}), log_dir=None, cache=False).run("root", tools=[note], mcp=dict(shop=shop))
"""
    with subprocess.Popen([sys.executable, "-c", notebook]) as process:
        until(told_pids.exists, 60)
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
    pids = [int(pid) for pid in told_pids.read_text().split()]
    assert len(pids) == 2
    assert ends([pid for pid in pids if alive(pid)]) == []


def test_a_server_that_does_not_start_is_named_with_its_stderr_and_its_secrets_kept(ask):
    server = {
        "command": sys.executable,
        "args": [SCRIPT, "broken"],
        "env": {"SHOP_TOKEN": "very-secret-token"},
    }
    run = ask({"root": ["FINAL(1)"]}, mcp={"shop": server})
    assert isinstance(run.error, ToolError)
    assert "The MCP server `shop`" in run.error.message
    assert "did not start" in run.error.message
    assert "no database at «redacted»" in run.error.message
    assert run.status == "failed"


def test_a_command_that_is_not_there_is_named(ask):
    run = ask({"root": ["FINAL(1)"]}, mcp={"shop": {"command": "no-such-command-here"}})
    assert "`no-such-command-here` cannot be started: No such file" in run.error.message


def test_a_url_that_nobody_serves_is_named(ask):
    run = ask({"root": ["FINAL(1)"]}, mcp={"shop": {"url": "http://127.0.0.1:9/mcp"}})
    assert "The MCP server `shop` cannot be reached" in run.error.message


def test_headers_are_sent_and_no_prompt_or_record_shows_them(ask, http_url):
    token = "very-secret-token"
    code = "sent = mcp_call('shop', 'headers')['structured']\nprint(sent)\nFINAL(sent['authorization'])"
    server = {"url": http_url, "headers": {"Authorization": f"Bearer {token}"}}
    run = ask({"root": [code]}, mcp={"shop": server})
    assert run.value == f"Bearer {token}"
    assert token not in told(run) + run.log_path.read_text()


def test_a_server_that_hangs_at_its_start_is_stopped_with_the_run(ask):
    server = {"command": sys.executable, "args": [SCRIPT, "stubborn"]}
    run = ask({"root": ["FINAL(1)"]}, mcp={"shop": server}, wait=False)
    me = psutil.Process()
    until(lambda: [c for c in me.children(recursive=True) if "stubborn" in _command(c)])
    time.sleep(0.3)
    run.stop()
    run.wait(60)
    assert run.status == "stopped"
    assert not [c for c in me.children(recursive=True) if "stubborn" in _command(c)]


def test_a_server_that_dies_fails_its_calls_with_its_last_words_and_the_run_goes_on(ask):
    code = (
        "said = []\nfor tool in ('die', 'add'):\n"
        "    try:\n        mcp_call('shop', tool, {'a': 1, 'b': 2} if tool == 'add' else None)\n"
        "    except RLMQueryError as e:\n        said.append(str(e))"
    )
    run = ask({"root": [code, "FINAL(said)"]}, mcp={"shop": SHOP})
    assert len(run.value) == 2
    assert all("`shop` failed" in text for text in run.value)
    assert "the shop burns" in run.value[0]


def test_a_call_that_takes_too_long_is_given_up_and_waiting_does_not_count_as_the_cells_time(ask):
    from rlm_jupyter import Limits

    code = (
        "mcp_call('shop', 'linger', {'seconds': 4})\n"
        "try:\n    mcp_call('shop', 'linger', {'seconds': 600})\nexcept RLMQueryError as e:\n    FINAL(str(e))"
    )
    run = ask({"root": [code]}, mcp={"shop": {**SHOP, "timeout": 6}}, limits=Limits(cell_seconds=3))
    assert "did not answer in 6 s" in run.value


def test_a_retried_agent_of_an_ended_run_has_its_server_again(ask):
    script = {
        "root": ["parts = rlm_query_batched(['part'], mcp='shop')\nFINAL(bool(parts[0]))"],
        "part": ["1 / 0", "```text\nno code\n```"],
    }
    run = ask(script, mcp={"shop": SHOP})
    assert run.value is False
    new = run.retry("0.1")
    until(lambda: new in run.agents and run.agents[new].status != "running")
    assert "`shop` (9 tools" in run.messages(new)[1]["content"]


def test_of_two_retried_agents_the_first_that_ends_leaves_the_other_its_server(ask):
    pid = "mcp_call('shop', 'process', {'variable': 'X'})['structured']['pid']"
    again = {
        "quick": f"FINAL({pid})",
        "slow": f"first = {pid}\nmcp_call('shop', 'linger', {{'seconds': 3}})\nFINAL([first, {pid}])",
    }
    tries = []

    def reply(messages):
        question = question_of(messages)
        if question == "root":
            return cell("parts = rlm_query_batched(['quick', 'slow'], mcp='shop')\nFINAL(len(parts))")
        tries.append(question)
        return cell(again[question]) if tries.count(question) > 3 else "no code"

    run = ask(reply, mcp={"shop": SHOP})
    assert run.value == 2
    ids = {agent.question: agent.id for agent in run.tree.agents.values()}
    slow = run.retry(ids["slow"])
    until(
        lambda: [e for e in run.events if e.kind == "tool_called" and (e.agent, e.name) == (slow, "process")]
    )
    quick = run.retry(ids["quick"])
    until(lambda: run.agents[quick].status != "running")
    assert run.agents[slow].status == "running"
    until(lambda: run.agents[slow].status != "running")
    (used,) = {*run.agents[slow].value, run.agents[quick].value}
    assert ends([int(used)]) == [], "the last one that ends takes the server with it"


@pytest.mark.parametrize(
    ("servers", "says"),
    [
        (["shop"], "a dict of servers"),
        ({"shop": "python"}, "`command` or `url`"),
        ({"shop": {}}, "either `command` or `url`"),
        ({"shop": {"command": "a", "url": "http://b"}}, "either `command` or `url`"),
        ({"shop": {"command": "a", "headers": {}}}, "`headers` has no meaning"),
        ({"shop": {"url": "http://a", "env": {}}}, "`env` has no meaning"),
        ({"shop": {"url": "ftp://a"}}, "must begin with `http://`"),
        ({"shop": {"command": [1, "b"]}}, "must be a text"),
        ({"shop": {"command": "a", "args": "b"}}, "a list of texts"),
        ({"shop": {"command": "a", "env": {"K": [1]}}}, "a dict of texts"),
        ({"shop": {"command": "a", "timeout": -1}}, "must be seconds"),
        ({"shop": {"command": "a", "cmd": 1}}, "unknown field `cmd`"),
        ({3: {"command": "a"}}, "name of an MCP server"),
    ],
)
def test_a_wrong_server_is_named_before_anything_starts(servers, says):
    with pytest.raises(ConfigError, match=says):
        RLM(model=ScriptedModel([]), log_dir=None, cache=False).start("q", mcp=servers)


@pytest.mark.parametrize(
    ("missing", "says"), [("mcp", "not installed"), ("mcp.client.client", "older one is installed")]
)
def test_without_the_package_the_error_names_the_extra(monkeypatch, missing, says):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(ConfigError, match=says) as caught:
        RLM(model=ScriptedModel([]), log_dir=None, cache=False).start("q", mcp={"shop": SHOP})
    assert "rlm_jupyter[mcp]" in caught.value.message


def test_a_run_without_servers_does_not_import_the_package():
    code = (
        "import sys\nfrom rlm_jupyter import RLM\nfrom rlm_jupyter.models import ScriptedModel\n"
        "r = RLM(model=ScriptedModel(['```repl\\nFINAL(1)\\n```']), log_dir=None, cache=False).run('q')\n"
        "print(r.value, 'mcp' in sys.modules)\nr.close()"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True
    )
    assert said.stdout == "1 False\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no guard there")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_guard_ends_what_it_guards(end):
    guard = Path(sys.modules["rlm_jupyter.tools.mcp"].__file__).with_name("mcp_guard_process.py")
    command = [sys.executable, "-I", "-S", str(guard), str(os.getpid()), sys.executable, SCRIPT, "stubborn"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        me = psutil.Process(process.pid)
        until(me.children)
        (server,) = me.children()
        until(lambda: "stubborn" in _command(server))
        assert alive(server.pid)
        process.send_signal(end)
        assert process.wait(60) == (1 if end == signal.SIGTERM else -end)
    assert ends([server.pid]) == []
