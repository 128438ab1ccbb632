"""The tools of `rlm-jupyter mcp` as a client over stdin and stdout has them: answers, bounds, refusals, progress, cancel."""

import asyncio
import json

import pandas as pd
import psutil
import pytest
from mcp_client_parts import call, opened, stdio
from run_parts import until
from scripts import cell, question_of

TEXT = "".join(
    f"{'Refunds rise since March.' if n == 120 else 'Nothing of note.'} Line {n}.\n" for n in range(1, 301)
)
CITED = "at = context.index('Refunds'); FINAL({'answer': 'since March', 'passages': [cite(context, at, at + 25)]})"


@pytest.fixture
def root(tmp_path):
    where = tmp_path / "shared"
    where.mkdir()
    (where / "report.txt").write_text(TEXT)
    pd.DataFrame({"city": ["Bonn", "Kiel"] * 50, "price": range(100)}).to_csv(
        where / "orders.csv", index=False
    )
    (where / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))
    (tmp_path / "secret.txt").write_text("secret words\n")
    return where


@pytest.fixture
def audit(tmp_path):
    return tmp_path / "logs" / "audit.jsonl"


def noted(audit):
    return [json.loads(line) for line in audit.read_text().splitlines()]


def answers(openai_server, by):
    """Let agents run the code that belongs to their question."""
    openai_server.script = lambda request: cell(by[question_of(request["messages"])])


async def test_a_source_is_opened_described_read_searched_asked_and_closed(root, openai_server, audit):
    answers(
        openai_server,
        {"Since when?": CITED, "Prices?": "FINAL(context.groupby('city').price.sum().to_dict())"},
    )
    everything = []

    async def ask(client, tool, **arguments):
        got = await call(client, tool, **arguments)
        everything.append(json.dumps(got))
        return got

    async with stdio(root, openai_server, audit=audit) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names == {"open_source", "describe", "read_span", "search", "ask", "value", "status", "close"}

        source = await ask(client, "open_source", source="report.txt")
        handle = source["handle"]
        assert source == {"handle": handle, "kind": "text", "bytes": len(TEXT)}
        about = await ask(client, "describe", handle=handle)
        assert (about["lines"], about["is_text"]) == (300, True)
        assert about["preview"].startswith("Nothing of note. Line 1.\n")
        span = await ask(client, "read_span", handle=handle, start=119, lines=2)
        assert span["text"] == "Nothing of note. Line 119.\nRefunds rise since March. Line 120."
        assert span["span"] == f"{handle}:lines 119-120"
        hits = await ask(client, "search", handle=handle, pattern=r"Refunds? rise")
        assert [hit["span"] for hit in hits["matches"]] == [f"{handle}:lines 120-120"]

        told = []

        async def hear(progress, total, message):
            told.append((progress, message))

        result = await client.call_tool(
            "ask", {"handle": handle, "question": "Since when?"}, progress_callback=hear
        )
        answer = result.structured_content
        everything.append(json.dumps(answer))
        assert (answer["status"], answer["error"]) == ("done", None)
        assert answer["answer"]["answer"] == "since March"
        assert answer["passages"] == [
            {"span": f"{handle}:lines 120-120", "text": "Refunds rise since March."}
        ]
        assert [number for number, _ in told] == sorted({number for number, _ in told})
        assert told[-1][1].startswith("done: 1 agent")
        part = await ask(client, "value", run=answer["run"], path="/passages/0")
        assert part["value"] == "Refunds rise since March."

        table = (await ask(client, "open_source", source=str(root / "orders.csv")))["handle"]
        assert [column["name"] for column in (await ask(client, "describe", handle=table))["columns"]] == [
            "city",
            "price",
        ]
        prices = await ask(client, "ask", handle=table, question="Prices?")
        assert prices["answer"] == {"Bonn": 2450, "Kiel": 2500}

        status = await ask(client, "status")
        assert [one["handle"] for one in status["sources"]] == [handle, table]
        assert [one["status"] for one in status["runs"]] == ["done", "done"]
        assert await ask(client, "close", handle=handle) == {"closed": handle}
        assert "no such handle" in await ask(client, "read_span", handle=handle, start=1)
        assert "no such run" in await ask(client, "value", run="run_aaaaaaaaaaaaaaaa")

    assert not [text for text in everything if str(root) in text]
    lines = noted(audit)
    assert [line["tool"] for line in lines if line["outcome"] != "started"] == [
        *("open_source", "describe", "read_span", "search", "ask", "value", "open_source", "describe", "ask"),
        *("status", "close", "read_span", "value"),
    ]
    asked = next(line for line in lines if line["tool"] == "ask" and line["outcome"] == "ok")
    assert asked["spans"] == [f"{handle}:lines 120-120"]
    assert lines[0]["path"] == str(root / "report.txt")
    assert oct(audit.stat().st_mode & 0o777) == "0o600"


async def test_what_a_client_must_not_have_is_refused_and_noted(root, openai_server, audit):
    (root / "link.txt").symlink_to(root.parent / "secret.txt")
    outside = [
        "../secret.txt",
        str(root.parent / "secret.txt"),
        "/etc/passwd",
        "link.txt",
        "file:///etc/passwd",
        ".env",
    ]
    async with stdio(root, openai_server, audit=audit) as client:
        told = {await call(client, "open_source", source=path) for path in outside}
        (words,) = told  # nothing is learned of what there is elsewhere
        assert not any(path in words for path in [*outside, str(root)])
        handle = await opened(client, "report.txt")
        png = await opened(client, "picture.png")
        assert "not a text" in await call(client, "read_span", handle=png, start=1)
        assert (await call(client, "describe", handle=png))["is_text"] is False
        assert "look-around" in await call(client, "search", handle=handle, pattern="(?=a)b")
        assert (await call(client, "search", handle=handle, pattern="(N|No)+$"))["matches"] == []
        huge = await call(client, "read_span", handle=handle, start=1, lines=10**9)
        assert (huge["last_line"], len(huge["text"].encode()) <= 8192) == (200, True)
        for arguments in (
            {"question": " "},
            {"question": "x", "max_cost": -1},
            {"question": "x" * 20_000},
            {"question": "x", "schema": {"type": 7}},
            {"question": "x", "schema": {"$ref": "file:///etc/passwd"}},
            {"question": "x", "schema": {"type": "string", "pattern": "(?=a)b"}},
        ):
            assert isinstance(await call(client, "ask", handle=handle, **arguments), str)
        assert "no such handle" in await call(client, "read_span", handle="src_" + "a" * 16, start=1)
        (root / "report.txt").write_text("changed\n")
        assert "changed" in await call(client, "read_span", handle=handle, start=1)
    assert openai_server.calls == 0
    refused = [
        line for line in noted(audit) if line["tool"] == "open_source" and line["outcome"] == "refused"
    ]
    assert [line["source"] for line in refused] == outside
    assert all(line["reason"] for line in refused)


async def test_a_cancelled_question_stops_its_run_and_its_kernels(root, openai_server, audit):
    answers(
        openai_server, {"Slow?": "import time\nwhile True: time.sleep(0.1)", "Quick?": "FINAL(len(context))"}
    )
    async with stdio(root, openai_server, audit=audit) as client:
        handle = await opened(client, "report.txt")
        asking = asyncio.create_task(client.call_tool("ask", {"handle": handle, "question": "Slow?"}))
        while openai_server.calls == 0:
            await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        while (await call(client, "status"))["runs"][0]["status"] == "running":
            await asyncio.sleep(0.05)
        assert (await call(client, "status"))["runs"][0]["status"] == "stopped"
        assert (await call(client, "ask", handle=handle, question="Quick?"))["answer"] == len(TEXT)
    assert "cancelled" in [line["outcome"] for line in noted(audit)]


async def test_an_answer_of_any_kind_is_read_in_parts(root, openai_server, audit):
    code = (
        "import pandas as pd\n"
        "FINAL({'table': pd.DataFrame({'n': range(5000), 'word': ['w' * 40] * 5000}), 'text': 'ü' * 30_000, 'no': float('nan'),\n"
        " 'deep': [[[[[[[[[[1]]]]]]]]]], 'big': 10 ** 400, 'a/b': {'~': 1}})"
    )
    answers(openai_server, {"What?": code})
    async with stdio(root, openai_server, audit=audit) as client:
        handle = await opened(client, "report.txt")
        answer = await call(client, "ask", handle=handle, question="What?", max_cost=0.5)
        assert answer["whole"] is False
        assert len(json.dumps(answer["answer"])) < 12_000
        run = answer["run"]
        assert (await call(client, "value", run=run, path="/table/4999"))["value"] == [4999, "w" * 40]
        rows, at = [], 0
        while at is not None:
            got = await call(client, "value", run=run, path="/table", start=at)
            rows += [row["n"] for row in got["value"]]
            at = got.get("next_start")
        assert rows == list(range(5000))
        text, at = "", 0
        while at is not None:
            got = await call(client, "value", run=run, path="/text", start=at)
            text, at = text + got["value"], got.get("next_start")
        assert text == "ü" * 30_000
        assert (await call(client, "value", run=run, path="/a~1b/~0"))["value"] == 1
        assert "no part" in await call(client, "value", run=run, path="/table/9999")
        assert "no part" in await call(client, "value", run=run, path="/__class__")


async def test_the_end_of_the_client_ends_the_server_and_all_kernels(root, openai_server, audit):
    answers(openai_server, {"Slow?": "import time\nwhile True: time.sleep(0.1)"})
    others = set(psutil.Process().children(recursive=True))  # of other tests
    async with stdio(root, openai_server, audit=audit) as client:
        handle = await opened(client, "report.txt")
        asking = asyncio.create_task(client.call_tool("ask", {"handle": handle, "question": "Slow?"}))
        while openai_server.calls == 0:
            await asyncio.sleep(0.05)
        started = set(psutil.Process().children(recursive=True)) - others
        assert started
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    until(
        lambda: (
            not [
                process
                for process in started
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            ]
        )
    )
