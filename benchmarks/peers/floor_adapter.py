"""The floor: threads, `http.client` and `exec`; no library, no isolation, no events, no limits."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

from benchmarks.peers.adapter import check

Chat = list[dict[str, str]]


class Floor:
    """The least that does the same requests and runs the same code."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def batch(self, width: int) -> None:
        """As `Adapter` says, one thread a call."""

        def one(number: int) -> str:
            with self._connection() as connection:
                return self._ask(connection.made, [_user(f"[plain] {number}")])

        check(_side_by_side(one, width), ["ok"] * width)

    def agents(self, width: int) -> None:
        """As `Adapter` says, one thread an agent."""
        check(
            _side_by_side(lambda number: self._run("part", {"context": number}), width),
            [str(n) for n in range(width)],
        )

    def one(self, name: str) -> None:
        """As `Adapter` says."""
        check(self._run(name, {}), 2)

    def close(self) -> None:
        """Nothing is left running."""

    def _run(self, name: str, variables: dict[str, Any]) -> Any:
        chat, printed = [_user(f"[{name}] Run the code.")], StringIO()
        with self._connection() as connection:
            while "value" not in variables:
                reply = self._ask(connection.made, chat)
                # `redirect_stdout` is for the whole process: of use where agents take turns only.
                code = reply.split("```python\n")[1].split("\n```")[0]
                if name == "part":
                    exec(code, {**variables, "print": lambda *_: None}, variables)
                else:
                    with redirect_stdout(printed):
                        exec(code, variables)
                chat += [{"role": "assistant", "content": reply}, _user(printed.getvalue())]
        return variables["value"]

    def _connection(self) -> _Connection:
        return _Connection(str(self._parts.hostname), int(self._parts.port or 80))

    def _ask(self, connection: http.client.HTTPConnection, chat: Chat) -> str:
        body = json.dumps({"model": "test-model", "messages": chat})
        headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-benchmark"}
        connection.request("POST", f"{self._parts.path}/chat/completions", body, headers)
        answer = json.loads(connection.getresponse().read())
        return str(answer["choices"][0]["message"]["content"])


class _Connection:
    def __init__(self, host: str, port: int) -> None:
        self.made = http.client.HTTPConnection(host, port, timeout=120)

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.made.close()


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _side_by_side(work: Any, width: int) -> list[Any]:
    with ThreadPoolExecutor(width) as threads:
        return list(threads.map(work, range(width)))
