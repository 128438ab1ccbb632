"""A scripted model in a process of its own, so that it takes no time from what is measured.

Run by `Server`; it reads one JSON object a line from stdin and answers each with one on stdout.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
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


def _serve() -> None:
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from openai_server import OpenAIServer
    from scripts import cell, question_of

    class Timed(OpenAIServer):
        """Notes when each answer was sent."""

        def __init__(self) -> None:
            super().__init__()
            self.ended: list[float] = []

        async def _answer(self, *arguments: Any) -> bool:
            sent = await super()._answer(*arguments)
            self.ended.append(time.monotonic())
            return bool(sent)

    with Timed() as server:
        for line in sys.stdin:
            what = json.loads(line)
            if "turns" in what:
                server.received.clear()
                server.ended.clear()
                server.latency = what["latency"]
                server.script = _script(what["turns"], what["plain"], cell, question_of)
            answer: dict[str, Any] = {"url": server.url}
            if "seen" in what:
                answer["arrived"] = [received.at for received in server.received]
                answer["ended"] = server.ended
                answer["prompts"] = [received.json["messages"] for received in server.received]
            print(json.dumps(answer), flush=True)


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
