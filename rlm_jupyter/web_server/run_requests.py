"""Runs over HTTP: to start one, to hear how far it is, to read its value, to stop it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from functools import partial
from typing import Any

from tornado.iostream import StreamClosedError

from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.web_server.checked_request import Request

_FIELDS = frozenset({"question", "sources", "data", "files", "schema", "max_cost"})
_PAGE_POLICY = "sandbox allow-scripts allow-popups"
"""A run's page is code of ours with data of others: it gets an origin of its own, without the cookie."""


class SourceRequest(Request):
    """`GET /sources`."""

    def get(self) -> None:
        """List what the command line shares."""
        self.tell({"sources": self.server.sources.about()})


class RunsRequest(Request):
    """`GET /runs`, `POST /runs`."""

    def get(self) -> None:
        """List the runs that are kept."""
        self.tell({"runs": [run.plain(run.spent()) for run in self.server.runs.all()]})

    async def post(self) -> None:
        """Start a run."""
        asked = self.body()
        unknown = sorted(set(asked) - _FIELDS)
        if unknown:
            known = ", ".join(f"`{name}`" for name in sorted(_FIELDS))
            raise RequestRefusedError(f"`{unknown[0][:40]}` is no field of a question. Fields: {known}.")
        sources = _texts(asked.get("sources", []), "sources")
        data: dict[str, Any] = dict(self.server.sources.chosen(sources))
        handed = self.server.files.keep(_files(asked.get("files", {})))
        names = [*self.server.sources.spelled, *((str(path), path.name) for path in handed.values())]
        drop = partial(self.server.files.drop, handed)
        try:
            data |= {f"{name}_file" if name in data else name: path for name, path in handed.items()}
            if asked.get("data") is not None:
                data["data" if "data" not in data else "given_data"] = asked["data"]
            run = await self.server.runs.start(
                asked.get("question"),
                data,
                names=names,
                schema=asked.get("schema"),
                max_cost=asked.get("max_cost"),
                at_end=drop,
            )
        except BaseException:
            drop()
            raise
        self.set_header("Location", f"/runs/{run.id}")
        self.tell(run.plain(run.spent()), 202)


class RunRequest(Request):
    """`GET /runs/ID`."""

    async def get(self, run_id: str) -> None:
        """Tell how far a run is, and its answer."""
        self.tell(await in_thread(self.server.runs.get(run_id).answer))


class ValueRequest(Request):
    """`GET /runs/ID/value?path=&start=`."""

    async def get(self, run_id: str) -> None:
        """Tell a part of a run's value."""
        run = self.server.runs.get(run_id)
        start = self.get_query_argument("start", "0")
        if not start.isascii() or not start.isdigit() or len(start) > 15:  # noqa: PLR2004 - of a number
            raise RequestRefusedError("`start` is 0 or more.")
        self.tell(await in_thread(run.value, self.get_query_argument("path", ""), int(start)))


class StopRequest(Request):
    """`POST /runs/ID/stop`."""

    def post(self, run_id: str) -> None:
        """Stop a run."""
        run = self.server.runs.get(run_id)
        run.run.stop()
        self.tell(run.plain(run.spent()))


class PageRequest(Request):
    """`GET /runs/ID/page`."""

    async def get(self, run_id: str) -> None:
        """Show the whole run, as the file that `%rlm export run.html` writes."""
        run = self.server.runs.get(run_id)
        if not run.run.done:
            raise RequestRefusedError("The run goes on: its page is there when it has ended.")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", _PAGE_POLICY)
        self.finish(await in_thread(_page, run.run))


class EventsRequest(Request):
    """`GET /runs/ID/events`: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    async def get(self, run_id: str) -> None:
        """Tell what happens in a run until it has ended; go on after `Last-Event-ID`."""
        run = self.server.runs.get(run_id)
        last = self.request.headers.get("Last-Event-ID", "0")
        number = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0  # noqa: PLR2004
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        with contextlib.suppress(StreamClosedError):
            await self.flush()
            async for at, kind, told in run.after(number):
                self.write(f"id: {at}\nevent: {kind}\ndata: {json.dumps(told, allow_nan=False)}\n\n")
                await self.flush()


def _page(run: Any) -> str:
    from rlm_jupyter.views.saved_page import saved_page

    with run.lock:
        return saved_page(run.tree, events=run.events)


def _texts(given: object, name: str) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise RequestRefusedError(f"`{name}` is a list of texts.")
    return list(dict.fromkeys(given))


def _files(given: object) -> dict[str, bytes]:
    """Read the files of a request: names, and contents in Base64."""
    if not isinstance(given, dict):
        raise RequestRefusedError("`files` is an object: the contents, in Base64, by their names.")
    files = {}
    for name, content in given.items():
        try:
            files[name] = base64.b64decode(content, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise RequestRefusedError(f"The content of `{name[:40]}` is not Base64.") from None
    return files
