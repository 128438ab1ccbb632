"""Kernels behind a Jupyter Kernel Gateway, an Enterprise Gateway or a Jupyter server: `gateway:URL/KERNELSPEC`.

Such a server starts the kernel where its provisioners say, and gives one websocket for all channels. It has the
REST interface of Jupyter; what is used of it: `POST /api/kernels`, `GET` and `DELETE /api/kernels/ID`,
`POST /api/kernels/ID/interrupt`, `/api/kernels/ID/channels`, `GET /api/kernelspecs`.

`jupyter_server` has a client for gateways too; it is one to a process, and drops the buffers of messages, in
which values travel here. tornado, which ipykernel brings along, is all that this needs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import ssl
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeGuard
from urllib.parse import quote

from jupyter_client.kernelspec import KernelSpec

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.channels.gateway_access import SCHEME, Access, read_place, shown_place
from rlm_jupyter.kernels.channels.websocket import LARGEST_MESSAGE, WebsocketClient

log = logging.getLogger(__name__)

_TRY_AGAIN = (0.2, 1.0)  # seconds before the end of a kernel is asked for again
ENDED_ELSEWHERE = 1000
"""Taken for the exit status of a kernel that ended where nobody tells us how."""
LOST_ELSEWHERE = 1001
"""The same, of one whose websocket stays broken or breaks again and again."""
LATE_SECONDS = 5.0
"""How long the end of this process waits for kernels that were asked for and are not wanted any more."""
_START_SECONDS = 60.0
_SECONDS = 20.0
_END_SECONDS = 10.0  # for all tries to delete a kernel together
_WHY_SECONDS = 5.0  # for finding out why none was started
_PING_SECONDS = 20.0  # a websocket that says nothing is asked whether it is there, and closed where it is not
_LARGEST_ANSWER = 4 << 20
_WATCH_SECONDS = 3.0
_UNREACHABLE = 5  # times in a row, after which the kernel is given up
_ENDED = frozenset({"dead", "restarting", "autorestarting"})
_KERNEL = re.compile(r"[0-9A-Za-z._-]{1,200}")
_late: set[asyncio.Task[None]] = set()


def is_gateway(name: str | None) -> TypeGuard[str]:
    """Whether this names a kernel behind a gateway instead of a kernelspec of this machine."""
    return name is not None and name.startswith(SCHEME)


class GatewayManager:
    """One kernel behind a gateway; it has what is used of a `KernelManager` and of its provisioner.

    Args:
        name: `gateway:URL/KERNELSPEC`; `gateway:KERNELSPEC` takes the URL from `JUPYTER_GATEWAY_URL`. A URL that ends
            with a slash stands for the gateway's default kernelspec.

    Attributes:
        tell: called with a sentence where a kernel could not be deleted; by default it goes to the log of Python.

    Raises:
        KernelStartError: that is not a URL of a gateway, or a variable of the environment is malformed.
    """

    is_local = False
    pid = None

    def __init__(self, name: str) -> None:
        self.url, self.name = read_place(name)
        self._access = Access.read(secure=self.url.lower().startswith("https:"))
        self.tell: Callable[[str], object] = log.warning
        self.kernel_spec = KernelSpec(argv=[], display_name=self.name, language="python")
        self._id: str | None = None
        self._status: int | None = None
        self._http: Any = None
        self._starting: asyncio.Task[Any] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._failures = 0

    @property
    def provisioner(self) -> GatewayManager:
        """What ends it: itself."""
        return self

    @property
    def has_kernel(self) -> bool:
        """Whether there is something to end."""
        return self._id is not None

    async def start_kernel(self, **_: Any) -> None:
        """Ask the gateway for a kernel.

        Raises:
            KernelStartError: it gives none; the message says why and what to try.
        """
        from tornado.simple_httpclient import SimpleAsyncHTTPClient

        self._http = SimpleAsyncHTTPClient(force_instance=True, max_body_size=_LARGEST_ANSWER)
        # Gateways pass on what is named so: the user's name, sizes of containers, working directories.
        variables = {name: value for name, value in os.environ.items() if name.startswith("KERNEL_")}
        body: dict[str, Any] = {"env": variables}
        if self.name:
            body["name"] = self.name
        loop = asyncio.get_running_loop()
        self._starting = loop.create_task(self._ask("POST", "/api/kernels", body, _START_SECONDS))
        try:
            # It goes on when nobody waits for it any more: else a kernel of which we do not know stays there.
            self._id = _id_of(await asyncio.shield(self._starting))
        except Exception as error:
            self._starting = None
            raise KernelStartError(await self._why(error)) from None
        self._starting = None
        self._watching = loop.create_task(self._watch())

    def client(self, **_: Any) -> WebsocketClient:
        """Make the client of the kernel's channels."""
        session = uuid.uuid4().hex
        url = f"{self.url}/api/kernels/{quote(str(self._id))}/channels?session_id={session}"

        async def connect() -> Any:
            from tornado.websocket import websocket_connect

            request = self._access.request(
                "ws" + url[len("http") :], connect_timeout=_SECONDS, request_timeout=_SECONDS
            )
            return await websocket_connect(
                request,
                max_message_size=LARGEST_MESSAGE,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
            )

        return WebsocketClient(connect, self._heard, lambda: self._end(LOST_ELSEWHERE))

    async def interrupt_kernel(self) -> None:
        """Interrupt the cell; raises RuntimeError where the gateway does not."""
        try:
            await self._ask("POST", f"/api/kernels/{self._id}/interrupt", {})
        except Exception as error:
            raise RuntimeError(f"The gateway did not interrupt the kernel: {self._told(error)}") from None

    async def poll(self) -> int | None:
        """The exit status, or None while the kernel lives."""
        return self._status

    async def wait(self) -> int | None:
        """As `poll`: a kernel that was ended is gone when the gateway has answered."""
        return self._status

    async def kill(self) -> None:
        """End the kernel; the gateway has removed it when this returns."""
        number, self._id = self._id, None
        if number is None:
            return
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._delete(number)
        except Exception as error:
            self.tell(
                f"The kernel `{number}` may still run: {self._where()} did not delete it ({self._told(error)}). "
                f"Delete it there (`DELETE {self.url}/api/kernels/{number}`), or let the gateway cull what is idle."
            )
        self._end(-9)

    async def _delete(self, number: str) -> None:
        for pause in (*_TRY_AGAIN, None):  # a gateway that is restarting the kernel refuses for a moment
            try:
                await self._ask("DELETE", f"/api/kernels/{quote(number)}")
            except Exception as error:
                if getattr(error, "code", None) == 404:  # noqa: PLR2004 - it is gone already
                    return
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                return

    async def _end_late(self, starting: asyncio.Task[Any]) -> None:
        """Delete a kernel that was asked for and is not wanted any more, when the gateway has started it."""
        with suppress(Exception):
            self._id = _id_of(await starting)
            await self.kill()
        self._close()

    def _close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    async def cleanup_resources(self) -> None:
        """Leave nothing: not even the kernel that the gateway started in the place of one that died."""
        await self.kill()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        starting, self._starting = self._starting, None
        if starting is None:
            self._close()
            return
        late = asyncio.get_running_loop().create_task(self._end_late(starting))
        _late.add(late)
        late.add_done_callback(_late.discard)

    # -- whether it lives

    def _end(self, status: int) -> None:
        if self._status is None:
            self._status = status

    def _heard(self, state: str) -> None:
        if state in _ENDED:  # a gateway restarts a kernel that died; ours are made anew by their agent
            self._end(ENDED_ELSEWHERE)

    async def _watch(self) -> None:
        from tornado.httpclient import HTTPClientError

        while self._status is None:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._id is None:
                return
            try:
                found = await self._ask("GET", f"/api/kernels/{self._id}")
                self._heard(str(found.get("execution_state")))
                self._failures = 0
            except HTTPClientError as error:
                self._failures += 1
                if error.code == 404:  # noqa: PLR2004 - culled, or ended by someone else
                    self._end(ENDED_ELSEWHERE)
            except Exception:
                self._failures += 1
            if self._failures >= _UNREACHABLE:
                self._end(ENDED_ELSEWHERE)

    # -- asking

    async def _ask(self, method: str, path: str, body: Any = None, seconds: float = _SECONDS) -> Any:
        data = None if body is None else json.dumps(body)
        request = self._access.request(
            self.url + path,
            method=method,
            body=data,
            connect_timeout=min(seconds, _SECONDS),
            request_timeout=seconds,
        )
        answer = await self._http.fetch(request)
        try:
            return json.loads(answer.body) if answer.body else {}
        except (ValueError, RecursionError):
            raise _StrangeAnswerError("it is not JSON") from None

    def _where(self) -> str:
        return f"the gateway at {shown_place(self.url)}"

    async def _why(self, error: Exception) -> str:
        """Returns why the gateway gives no kernel."""
        where = f"The gateway at {shown_place(self.url)}"
        code = getattr(error, "code", None)
        if code is None or code == _NO_ANSWER:
            return f"{where} {self._why_unheard(error)}"
        if code in {401, 403}:
            return (
                f"{where} refuses us (HTTP {code}). Set its token as the variable `JUPYTER_GATEWAY_AUTH_TOKEN`."
                f"{self._said(error)}"
            )
        if 300 <= code < 400:  # noqa: PLR2004 - the codes of redirections
            return (
                f"{where} sends us elsewhere (HTTP {code}), as for a login: its URL is another, or its token."
            )
        with suppress(Exception):
            answer = await self._ask("GET", "/api/kernelspecs", seconds=_WHY_SECONDS)
            known = sorted(map(str, answer["kernelspecs"]))
            if self.name not in known:
                names = ", ".join(f"`{_plain(name, 80)}`" for name in known[:_LISTED]) or "none"
                return f"{where} has no kernelspec `{self.name}`. It has: {names}."
        return (
            f"{where} started no kernel `{self.name}` (HTTP {code}); its own log says why.{self._said(error)}"
        )

    def _why_unheard(self, error: Exception) -> str:
        """Returns why there is no answer of HTTP."""
        if isinstance(error, _StrangeAnswerError):
            return f"answered what no Jupyter server would: {error}. See that its URL is right."
        if isinstance(error, ssl.SSLError):
            return (
                f"and we do not trust each other: {self._told(error)}. See `JUPYTER_GATEWAY_CA_CERTS`, "
                "`JUPYTER_GATEWAY_CLIENT_CERT` and `JUPYTER_GATEWAY_CLIENT_KEY`."
            )
        return f"cannot be reached: {self._told(error)}. See that it runs, and that its URL is right."

    def _told(self, error: Exception) -> str:
        """Put an error of a request into words, without what is secret."""
        if isinstance(error, TimeoutError) and not str(error):
            return "it did not answer in time"
        return self._access.without_secrets(_plain(str(error), _LONGEST)) + self._said(error)

    def _said(self, error: Exception) -> str:
        """Returns what the gateway wrote beside the code of an error; empty if that is nothing for people."""
        body = bytes(getattr(getattr(error, "response", None), "body", None) or b"")[:_LARGEST_ERROR]
        text = body.decode(errors="replace").strip()
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
            fields = found if isinstance(found, dict) else {}
            text = ". ".join(str(fields[name]) for name in ("reason", "message") if fields.get(name))
        if not text or text.startswith("<"):
            return ""
        return f" It says: {self._access.without_secrets(_plain(text, _LONGEST))}"


_NO_ANSWER = 599
"""tornado's own code of HTTP for a connection that failed or took too long."""
_LARGEST_ERROR = 64 << 10
_LONGEST = 300
_LISTED = 30


class _StrangeAnswerError(Exception):
    """An answer that is not one of a Jupyter server."""


def _id_of(answer: Any) -> str:
    """Read the id of a kernel that was started; raises _StrangeAnswerError."""
    found = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(found, str) or not _KERNEL.fullmatch(found):
        raise _StrangeAnswerError("it started a kernel without an id")
    return found


def _plain(text: str, most: int) -> str:
    """Make one line of a text that comes from elsewhere, of visible characters alone."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[:most]}…"


async def end_late_kernels() -> None:
    """Wait, not for long, until kernels that were asked for and are not wanted any more are deleted."""
    if _late:
        await asyncio.wait(set(_late), timeout=LATE_SECONDS)
