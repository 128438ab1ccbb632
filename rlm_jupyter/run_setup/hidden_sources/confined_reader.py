"""Hidden columns of files: read by a kernel of their own, in the sandbox, which hands over the values as plain data.

No parser of this process sees the files. The kernel may read them and nothing else of the user's, has no network, and
ends when it has answered; what it hands over is checked as what comes from any kernel.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent import kernel_setup
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.errors import ConfigError, KernelError, RLMError
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.kernels.launch.guest_bundle import calling_code
from rlm_jupyter.kernels.pool import KernelRequest
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rlm_jupyter.kernels.agent_kernel import AgentKernel
    from rlm_jupyter.kernels.pool import KernelPool
    from rlm_jupyter.settings import Settings

SECONDS = 600.0
"""How long the files may be read."""
BYTES_OF_EACH = 100
"""Bytes of values that are held for each value that may be: 2 GB for twenty million."""
_EXPORT_SECONDS = 120.0
_REQUEST, _FOUND = "request_", "found_"
_LONGEST = 300
_MOST_COLUMNS = 10_000
_OVER = ("LimitExceeded", "MemoryError")


@dataclass(frozen=True)
class HiddenFile:
    """A file or a folder whose hidden columns are read.

    Attributes:
        path: absolute.
        prefixes: of its columns' names: what it is called in the data, with a point.
        whole: whether all of its columns are hidden.
    """

    path: str
    prefixes: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class FoundInFiles:
    """What a kernel found in files.

    Attributes:
        columns: pairs of a name and a sequence of values: an array of Arrow, or a list.
        matched: the numbers of the expressions that a name was found for.
        names: that were found for them, also of columns without values.
        plain: files that have no columns.
    """

    columns: list[tuple[str, Any]]
    matched: set[int]
    names: set[str]
    plain: list[str]


@dataclass(frozen=True)
class ConfinedReader:
    """Reads the hidden columns of files.

    Attributes:
        pool: returns the pool of kernels.
        settings: of the run: its kernel, sandbox, and how many values are held.
    """

    pool: Callable[[], Awaitable[KernelPool]]
    settings: Settings

    def read(
        self, files: Sequence[HiddenFile], expressions: Sequence[str], names: Sequence[str]
    ) -> FoundInFiles:
        """Read columns. Blocking.

        Args:
            files: that are read.
            expressions: regular expressions of the names of columns, in their case-folded form.
            names: of folders whose entries may be listed.

        Raises:
            ConfigError: the columns are not known, and why; or it is called on the engine's own thread.
        """
        if engine().inside:
            raise ConfigError(
                "A run with hidden columns of files cannot be started in a callback of a run: start it from another "
                "thread."
            )
        future: Future[FoundInFiles] = engine().submit(self._read(files, expressions, names))
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the user interrupted the cell: the kernel ends
            raise

    async def _read(
        self, files: Sequence[HiddenFile], expressions: Sequence[str], names: Sequence[str]
    ) -> FoundInFiles:
        most = self.settings.hide_most
        request = {
            "files": [
                {"path": one.path, "prefixes": list(one.prefixes), "whole": one.whole} for one in files
            ],
            "expressions": list(expressions),
            "most": most,
            "most_bytes": most * BYTES_OF_EACH,
        }
        try:
            async with _kernel(self, [one.path for one in files], names) as kernel:
                return await _ask(kernel, request)
        except (BridgeError, KernelError) as error:
            raise _refused(f"their kernel failed: {one_line(error.message, _LONGEST)}") from None


class _kernel:  # noqa: N801 - used as a function
    """A kernel that may read some files and nothing else of the user's, for as long as the block runs."""

    def __init__(self, reader: ConfinedReader, paths: Sequence[str], names: Sequence[str]) -> None:
        self._reader, self._paths, self._names = reader, paths, names
        self._run = f"hidden-{secrets.token_hex(4)}"

    async def __aenter__(self) -> AgentKernel:
        settings = self._reader.settings
        self._pool = await self._reader.pool()
        request = KernelRequest(
            run=self._run,
            agent="hidden",
            kernelspec=settings.kernel,
            sandbox=settings.sandbox,
            limits=limits_of_reader(settings.sandbox.mode, self._paths, self._names),
        )
        return await self._pool.start(request, _no_requests)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(self._pool.close_run(self._run))


def limits_of_reader(mode: str, paths: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Returns the limits of the reading kernel that differ from those of the sandbox of a mode."""
    if mode == "none":
        return {}
    return {"read": tuple(paths), "list": tuple(names), "net": (), "scratch": None}


async def _no_requests(op: str, _body: dict[str, Any], _fds: list[int]) -> tuple[Any, list[int]]:
    """Refuse what the kernel asks: it reads files, and nobody's code is in it."""
    if op == "cell_done":
        return {}, []
    raise BridgeError("failed", "This kernel asks no agent and no model.")


async def _ask(kernel: AgentKernel, request: Mapping[str, Any]) -> FoundInFiles:
    """Let the kernel read, and take what it found."""
    with Buffer.encode(request, allow_pickle=False) as encoded:
        await kernel_setup.load(kernel, encoded, (_REQUEST,))
    code = f"{_FOUND} = {calling_code('guest.hidden_columns.file_reading', 'read_hidden', _REQUEST)}"
    result = await kernel.execute(code, seconds=SECONDS)
    if result.status == "timeout":
        raise _refused(f"reading them takes longer than {SECONDS:.0f} seconds")
    if result.status != "ok":
        if result.error_name in _OVER:
            raise _refused("reading them takes more memory, disk or processor time than the sandbox allows")
        reason = result.error_name or "their kernel died, perhaps of a lack of memory"
        raise _refused(f"they cannot be read: {one_line(reason, _LONGEST)}")
    with await kernel_setup.export(kernel, _FOUND, figures=False, timeout=_EXPORT_SECONDS) as buffer:
        return await asyncio.to_thread(_checked, buffer, request)


def _checked(buffer: Buffer, request: Mapping[str, Any]) -> FoundInFiles:
    """Decode what a kernel found; nothing of it is believed."""
    try:
        found = buffer.load(max_bytes=3 * request["most_bytes"] + (1 << 20))
    except RLMError as error:
        raise _refused(f"what was found cannot be used: {error.message}") from None
    if not isinstance(found, dict):
        raise _refused("what was found cannot be used")
    if (reason := found.get("refused")) is not None:
        raise _refused(one_line(str(reason), _LONGEST))
    lists = [found.get(name) for name in ("columns", "matched", "names", "plain")]
    columns, matched, names, plain = (one if isinstance(one, list) else [] for one in lists)
    if not all(isinstance(one, list) for one in lists):
        raise _refused("what was found cannot be used")
    pairs = list(_pairs(columns))
    if sum(len(values) for _, values in pairs) > request["most"]:
        raise _refused(f"there are more than {request['most']:,} values")
    numbers = {one for one in matched if type(one) is int and 0 <= one < len(request["expressions"])}
    seen = {one for one in names if isinstance(one, str)}
    return FoundInFiles(pairs, numbers, seen, [one_line(str(one), _LONGEST) for one in plain])


def _pairs(columns: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yields names and values of columns.

    Raises:
        ConfigError: one is of another form, or there are too many: what is left out would not be hidden.
    """
    import pyarrow as pa

    if len(columns) > _MOST_COLUMNS:
        raise _refused(f"there are more than {_MOST_COLUMNS:,} hidden columns or keys")
    for one in columns:
        name, parts = (one.get("name"), one.get("values")) if isinstance(one, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(parts, list):
            raise _refused("what was found cannot be used")
        for values in parts:
            if not isinstance(values, (list, pa.Array, pa.ChunkedArray)):
                raise _refused("what was found cannot be used")
            yield name, values


def _refused(reason: str) -> ConfigError:
    return ConfigError(
        f"`hide` cannot tell the hidden values of the files that were handed over: {reason}. Leave such files out, "
        "load the data into a DataFrame and hand that over, or hide fewer columns; `hide_most` says how many values "
        "are held."
    )
