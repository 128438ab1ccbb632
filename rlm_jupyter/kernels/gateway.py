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
import os
import uuid
from contextlib import suppress
from typing import Any, TypeGuard
from urllib.parse import quote, urlsplit

from jupyter_client.kernelspec import KernelSpec

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.websocket import LARGEST_MESSAGE, WebsocketClient

SCHEME = "gateway:"
_TRY_AGAIN = (0.2, 1.0)  # seconds before the end of a kernel is asked for again
ENDED_ELSEWHERE = 1000
"""Taken for the exit status of a kernel that ended where nobody tells us how."""
_START_SECONDS = 60.0
_SECONDS = 20.0
_WATCH_SECONDS = 3.0
_UNREACHABLE = 5  # times in a row, after which the kernel is given up
_ENDED = frozenset({"dead", "restarting", "autorestarting", "lost"})


def is_gateway(name: str | None) -> TypeGuard[str]:
    """Whether this names a kernel behind a gateway instead of a kernelspec of this machine."""
    return name is not None and name.startswith(SCHEME)


class GatewayManager:
    """One kernel behind a gateway; it has what is used of a `KernelManager` and of its provisioner.

    Args:
        name: `gateway:URL/KERNELSPEC`; `gateway:KERNELSPEC` takes the URL from `JUPYTER_GATEWAY_URL`. A URL that ends
            with a slash stands for the gateway's default kernelspec.

    Raises:
        KernelStartError: that is no URL of a gateway.
    """

    is_local = False
    pid = None

    def __init__(self, name: str) -> None:
        self.url, self.name = _parse(name)
        self.kernel_spec = KernelSpec(argv=[], display_name=self.name, language="python")
        self._id: str | None = None
        self._status: int | None = None
        self._http: Any = None
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

        self._http = SimpleAsyncHTTPClient(force_instance=True)
        # Gateways pass on what is named so: the user's name, sizes of containers, working directories.
        variables = {name: value for name, value in os.environ.items() if name.startswith("KERNEL_")}
        body: dict[str, Any] = {"env": variables}
        if self.name:
            body["name"] = self.name
        try:
            answer = await self._ask("POST", "/api/kernels", body, _START_SECONDS)
        except Exception as error:
            raise KernelStartError(await self._why(error)) from None
        self._id = str(answer["id"])
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    def client(self, **_: Any) -> WebsocketClient:
        """Make the client of the kernel's channels."""
        session = uuid.uuid4().hex
        url = f"{self.url}/api/kernels/{quote(str(self._id))}/channels?session_id={session}"

        async def connect() -> Any:
            from tornado.websocket import websocket_connect

            return await websocket_connect(
                self._request("ws" + url.removeprefix("http"), request_timeout=_SECONDS),
                max_message_size=LARGEST_MESSAGE,
                ping_interval=30,
            )

        return WebsocketClient(connect, self._heard)

    async def interrupt_kernel(self) -> None:
        """Interrupt the cell; raises RuntimeError where the gateway does not."""
        try:
            await self._ask("POST", f"/api/kernels/{self._id}/interrupt", {})
        except Exception as error:
            raise RuntimeError(f"The gateway did not interrupt the kernel: {error}") from None

    async def poll(self) -> int | None:
        """The exit status, or None while the kernel lives."""
        return self._status

    async def wait(self) -> int | None:
        """As `poll`: a kernel that was ended is gone when the gateway has answered."""
        return self._status

    async def kill(self) -> None:
        """End the kernel; the gateway has removed it when this returns."""
        if self._id is None:
            return
        number, self._id = self._id, None
        for pause in (*_TRY_AGAIN, None):  # a gateway that is restarting the kernel refuses for a moment
            try:
                await self._ask("DELETE", f"/api/kernels/{number}")
                break
            except Exception as error:
                if pause is None or getattr(error, "code", None) == 404:  # noqa: PLR2004 - it is gone already
                    break  # or its gateway is
                await asyncio.sleep(pause)
        self._end(-9)

    async def cleanup_resources(self) -> None:
        """Leave nothing: not even the kernel that the gateway started in the place of one that died."""
        await self.kill()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        if self._http is not None:
            self._http.close()
            self._http = None

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

    def _request(self, url: str, **options: Any) -> Any:
        from tornado.httpclient import HTTPRequest

        headers = json.loads(os.environ.get("JUPYTER_GATEWAY_HEADERS") or "{}")
        token = os.environ.get("JUPYTER_GATEWAY_AUTH_TOKEN")
        if token:
            scheme = os.environ.get("JUPYTER_GATEWAY_AUTH_SCHEME") or "token"
            headers["Authorization"] = f"{scheme} {token}"
        checked = os.environ.get("JUPYTER_GATEWAY_VALIDATE_CERT", "yes").lower() not in {"no", "false", "0"}
        return HTTPRequest(
            url,
            headers=headers,
            validate_cert=checked,
            ca_certs=os.environ.get("JUPYTER_GATEWAY_CA_CERTS"),
            client_cert=os.environ.get("JUPYTER_GATEWAY_CLIENT_CERT"),
            client_key=os.environ.get("JUPYTER_GATEWAY_CLIENT_KEY"),
            connect_timeout=_SECONDS,
            **options,
        )

    async def _ask(self, method: str, path: str, body: Any = None, seconds: float = _SECONDS) -> Any:
        data = None if body is None else json.dumps(body)
        request = self._request(self.url + path, method=method, body=data, request_timeout=seconds)
        answer = await self._http.fetch(request)
        return json.loads(answer.body) if answer.body else {}

    async def _why(self, error: Exception) -> str:
        """Say why the gateway gives no kernel."""
        place = urlsplit(self.url)
        where = f"The gateway at `{place.hostname}:{place.port or place.scheme}`"
        code = getattr(error, "code", None)
        if code in {401, 403}:
            return f"{where} refuses us (HTTP {code}). Set its token as the variable `JUPYTER_GATEWAY_AUTH_TOKEN`."
        if code is None or code == 599:  # noqa: PLR2004 - tornado's own, for no answer
            return f"{where} cannot be reached: {error}. See that it runs, and that its URL is right."
        with suppress(Exception):
            known = (await self._ask("GET", "/api/kernelspecs"))["kernelspecs"]
            if self.name not in known:
                names = ", ".join(f"`{name}`" for name in sorted(known)) or "none"
                return f"{where} has no kernelspec `{self.name}`. It has: {names}."
        return f"{where} started no kernel `{self.name}` (HTTP {code}); its own log says why."


def _parse(name: str) -> tuple[str, str]:
    """Split `gateway:URL/KERNELSPEC` into the URL without a slash at its end, and the kernelspec."""
    rest = name.removeprefix(SCHEME)
    if "://" in rest:
        url, _, spec = rest.rpartition("/")
    else:
        url, spec = os.environ.get("JUPYTER_GATEWAY_URL", "").rstrip("/"), rest
    place = urlsplit(url)
    if place.scheme not in {"http", "https"} or not place.hostname:
        raise KernelStartError(
            f"`{_without_secrets(name)}` names no kernel of a gateway. Write "
            "`gateway:http://HOST:PORT/KERNELSPEC`, or set `JUPYTER_GATEWAY_URL` and write `gateway:KERNELSPEC`."
        )
    if place.username or place.password or "?" in rest:
        raise KernelStartError(
            "The URL of a gateway is kept in logs, so it may hold no password or token. Set the token as "
            "`JUPYTER_GATEWAY_AUTH_TOKEN` in the environment."
        )
    return url, spec


def _without_secrets(name: str) -> str:
    return name.partition("?")[0].rpartition("@")[2]
