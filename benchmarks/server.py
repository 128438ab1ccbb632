"""A scripted model in a process of its own, so that it takes no time from what is measured.

Run by `Server`; it reads one JSON object a line from stdin and answers each with one on stdout.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent


class Server:
    """The server's process, as a context manager.

    Attributes:
        url: the base URL to give to a client.
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url: str = self._ask({})["url"]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def script(self, turns: dict[str, list[str]], *, plain: str = "ok", latency: float = 0.0) -> None:
        """Answer from now on so, and forget what was asked before.

        Args:
            turns: an agent's question → the code of its turns; the last is repeated.
            plain: the answer to all else.
            latency: seconds before each answer.
        """
        self._ask({"turns": turns, "plain": plain, "latency": latency})

    def play(self, agents: dict[str, list[dict[str, Any]]], *, other: str, hold: int = 0) -> None:
        """Answer from now on so, whoever asks, and forget what was asked before.

        An agent is known by the first `[name]` in its chat, and its turn by the last `# turn N` there: by what its
        question and its code say, and not by the form in which some library writes a prompt.

        Args:
            agents: name → the replies of its turns, each with `text` and `latency` (seconds); the last is repeated.
            other: whose replies those get in whose chat no name stands.
            hold: from which turn on agents named `part` wait until `release` is called; 0: none does.
        """
        self._ask({"agents": agents, "other": other, "hold": hold})

    def held(self) -> int:
        """Returns how many requests wait for `release`."""
        return int(self._ask({})["held"])

    def release(self) -> None:
        """Answer all requests that wait, and let no further one wait."""
        self._ask({"release": True})

    def seen(self) -> dict[str, Any]:
        """Returns what was asked: `arrived` and `ended` (monotonic seconds of each request), `prompts` (messages)."""
        return self._ask({"seen": True})

    def _ask(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


class _NotingWriter:
    """A stream writer that notes when it was last written to (monotonic seconds)."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.at = 0.0

    def write(self, data: bytes) -> None:
        self.at = time.monotonic()
        self._writer.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def _serve() -> None:
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from openai_server import OpenAIServer, Reply
    from scripts import cell, question_of

    class Timed(OpenAIServer):
        """Notes when each answer was sent, and can let requests of late turns wait.

        An answer was sent when its last bytes were handed over: after that, a busy machine may let its reader work
        before this process.
        """

        def __init__(self) -> None:
            super().__init__()
            self.ended: list[float] = []
            self.hold = self.held = 0

        async def _answer(self, request: dict[str, Any], headers: dict[str, str], writer: Any) -> bool:
            if self.hold and agent_of(request) == "part" and turn_of(request) >= self.hold:
                self.held += 1
                while self.hold:
                    await asyncio.sleep(0.005)
                self.held -= 1
            noting = _NotingWriter(writer)
            sent = await super()._answer(request, headers, noting)
            self.ended.append(noting.at)
            return bool(sent)

    with Timed() as server:
        for line in sys.stdin:
            what = json.loads(line)
            if "turns" in what:
                server.received.clear()
                server.ended.clear()
                server.latency = what["latency"]
                server.script = _script(what["turns"], what["plain"], cell, question_of)
            if "agents" in what:
                server.received.clear()
                server.ended.clear()
                server.latency, server.hold = 0.0, what["hold"]
                other, replies = what["other"], what["agents"]
                server.script = partial(_next_reply, replies, other, Reply)
            if "release" in what:
                server.hold = 0
            answer: dict[str, Any] = {"url": server.url, "held": server.held}
            if "seen" in what:
                answer["arrived"] = [received.at for received in server.received]
                answer["ended"] = server.ended
                answer["prompts"] = [received.json["messages"] for received in server.received]
            print(json.dumps(answer), flush=True)


_AGENT = re.compile(r"\[(batch|agents|part|plain|turns|one)\]")
_TURN = re.compile(r"# turn (\d+)")


def agent_of(request: dict[str, Any], other: str = "part") -> str:
    """Returns whose request it is, by the first `[name]` of its chat."""
    found = (_AGENT.search(text) for text in _texts(request))
    return next((match[1] for match in found if match), other)


def turn_of(request: dict[str, Any]) -> int:
    """Returns the number of the turn, from 1, that a request asks for, by the code of those before it."""
    return 1 + max((int(number) for text in _texts(request) for number in _TURN.findall(text)), default=0)


def _texts(request: dict[str, Any]) -> list[str]:
    """Returns the texts of a chat; some clients send a message's content in parts."""
    contents = (message["content"] for message in request["messages"])
    return [
        content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())
        for content in contents
    ]


def _next_reply(
    agents: dict[str, list[dict[str, Any]]], other: str, kind: Any, request: dict[str, Any]
) -> Any:
    replies = agents[agent_of(request, other)]
    return kind(**replies[min(turn_of(request), len(replies)) - 1])


def _script(turns: dict[str, list[str]], plain: str, cell: Any, question_of: Any) -> Any:
    def answer(request: dict[str, Any]) -> str:
        messages = request["messages"]
        codes = turns.get(question_of(messages) or "")
        if codes is None:
            return plain
        turn = sum(message["role"] == "assistant" for message in messages)
        return str(cell(codes[min(turn, len(codes) - 1)]))

    return answer


if __name__ == "__main__":
    _serve()
