"""An encoded value and the one who owns its descriptor."""

from __future__ import annotations

import os
import threading
from typing import Any, Self, TypeGuard

from rlm_jupyter.errors import ContextError, MalformedValueError, UnsafeValueError, ValueTransferError
from rlm_jupyter.values.codec import api as codec
from rlm_jupyter.values.codec import container
from rlm_jupyter.values.codec.charts import ChartParts
from rlm_jupyter.values.codec.spans import SpanPlace
from rlm_jupyter.values.describe import api as describe

_FIXED = (str, bytes, int, float, bool, type(None))
_MAX_FIXED = 10_000
_LOSSES, _LOSS = 5, 200
LARGE_TEXT = 32 << 20
"""Bytes of a text that is worth a process which holds it for all kernels of a run."""
_TOKEN = b'{"held":"elsewhere"}'  # no value: to decode it is an error


class Buffer:
    """The one owner of a descriptor that holds an encoded value; closes it when dropped.

    Attributes:
        description: what `describe.describe` said of the value; empty if nobody said anything.
        kind: "safe", or "pickle" for what only runs as code.
        size: bytes.
        spilled: whether the bytes lie on disk rather than in memory.
        origin: what buffers that share their bytes have in common.
        shared: whether it is the notebook's own data, which no limit of values is for.
        passages: of the data that the value cites, as far as they were found there, by `Span.key`.
        released: whether only a token is left of the bytes here, because a template of kernels holds the value.
    """

    def __init__(self, fd: int, description: dict[str, Any] | None = None) -> None:
        """Take over a descriptor.

        Args:
            fd: the descriptor, from now on this buffer's to close, also when this raises.
            description: of the value.

        Raises:
            MalformedValueError: it holds no encoded value.
        """
        self._fd = fd
        self._lock = threading.Lock()
        self._fixed: tuple[object] | None = None
        self.spilled = self.shared = self.released = False
        self.passages: dict[Any, SpanPlace] = {}
        self.description = {} if description is None else description
        try:
            self.kind = codec.kind(fd)
            self.size = codec.size(fd)
        except codec.Malformed as error:
            self.close()
            raise MalformedValueError(str(error)) from None
        status = os.fstat(fd)
        self.origin = (status.st_dev, status.st_ino)

    @classmethod
    def from_fd(cls, fd: int, description: dict[str, Any] | None = None) -> Self:
        """Take over a descriptor: `Buffer(fd, description)` under a name that says whose it is from now on."""
        return cls(fd, description)

    @classmethod
    def encode(
        cls,
        value: object,
        *,
        allow_pickle: bool = True,
        name: str = "value",
        rows: int = 3,
        late: bool = False,
    ) -> Self:
        """Encode a value of the host's own.

        Args:
            value: any object.
            allow_pickle: pickle what has no safe form; instances of classes keep their class.
            name: what messages call the value.
            rows: how many rows its description may quote.
            late: do not encode large bytes or ASCII text, which may go to a template as they are; `with_bytes` does.

        Raises:
            ContextError: something in it cannot leave this process, or there is no room for it.
        """
        if late and is_plain(value):
            made = cls(placeholder_fd(), describe.describe(value, rows=rows))
            made._fixed, made.released, made.size = (value,), True, len(value)
            return made
        left_out: list[str] = []
        try:
            fd, _ = codec.dump(
                value,
                allow_pickle=allow_pickle,
                name=name,
                faithful=True,
                left_out=left_out,
                figures=not allow_pickle,  # else they go as the library's own objects
            )
        except codec.Unencodable as error:
            raise ContextError(f"{error} Hand over the data that it stands for.") from None
        except (OSError, MemoryError) as error:
            raise ContextError(f"There is no room to hand `{name}` over ({error}); hand over less.") from None
        made = cls(fd, describe.describe(value, rows=rows, left_out=left_out))
        made._fixed = _fixed(value)
        return made

    @property
    def place(self) -> str:
        """Where the bytes are: `shared` by the notebook and all agents, on `disk`, or in `memory`."""
        return "shared" if self.shared else "disk" if self.spilled else "memory"

    @property
    def losses(self) -> list[str]:
        """What was left out when the value was encoded, each a sentence to be told."""
        told = self.description.get("left_out")
        parts = [part for part in told if isinstance(part, str)] if isinstance(told, (list, tuple)) else []
        return [f"Left out, because it cannot be transferred: {part[:_LOSS]}." for part in parts[:_LOSSES]]

    @property
    def fd(self) -> int:
        """The descriptor, which stays this buffer's.

        Raises:
            ValueTransferError: the buffer is closed.
        """
        if self._fd < 0:
            raise ValueTransferError(
                "The value is gone: its run was closed. Pull values before `run.close()`."
            )
        return self._fd

    @property
    def closed(self) -> bool:
        """Whether the descriptor was given back."""
        return self._fd < 0

    def dup(self) -> Buffer:
        """Make a second owner of the same bytes, which are not copied."""
        with self._lock:
            copy = Buffer(os.dup(self.fd), self.description)
            copy.spilled, copy.origin, copy.size = self.spilled, self.origin, self.size
            copy.shared, copy.released, copy._fixed = self.shared, self.released, self._fixed
            copy.passages = self.passages
        return copy

    # ---- bytes that are held elsewhere

    @property
    def text(self) -> str | bytes | None:
        """The value itself where it was not encoded, because it may go over as it is."""
        value = self._fixed[0] if self._fixed is not None and self.released else None
        return value if is_plain(value) else None

    @property
    def can_release(self) -> bool:
        """Whether the bytes can be made anew at any time, because what they tell cannot change."""
        return self._fixed is not None and not self.released

    def release(self, token: int) -> None:
        """Let the bytes go, and keep a token that stands for the value where a template holds it.

        The value itself cannot change and is still there, so that `with_bytes` can encode it anew.

        Args:
            token: of `placeholder_fd()`; it stays the caller's.
        """
        with self._lock:
            if self._fd >= 0 and self.can_release:
                os.dup2(token, self._fd, inheritable=False)
                status = os.fstat(token)
                self.origin = (status.st_dev, status.st_ino)
                self.released = True

    def with_bytes(self) -> Buffer:
        """Make a second owner that has the bytes, encoded anew where only a token is left."""
        if not self.released:
            return self.dup()
        assert self._fixed is not None
        again = Buffer.encode(self._fixed[0])
        again.description, again.shared = self.description, self.shared
        return again

    def load(self, *, trust: bool = False, max_bytes: int | None = None) -> Any:
        """Decode the value.

        Args:
            trust: decode a pickle too, which runs code that the agent's kernel wrote.
            max_bytes: refuse larger values.

        Raises:
            UnsafeValueError: it is a pickle, and `trust` is not set.
            MalformedValueError: the bytes are not what they claim to be.
            ValueTransferError: a library that the value needs is not installed here.
        """
        if self.released:
            with self.with_bytes() as again:
                return again.load(trust=trust, max_bytes=max_bytes)
        with self._lock:
            fd = os.dup(
                self.fd
            )  # another thread may close the buffer meanwhile, and its number may be used anew
        try:
            return codec.load(fd, allow_pickle=trust, max_bytes=max_bytes, make_chart=_make_chart)
        except codec.MissingLibrary as error:
            raise ValueTransferError(str(error)) from None
        except codec.Refused:
            what = self.description.get("summary") or "The value"
            raise UnsafeValueError(
                f"`{what}` has no form as plain data: it is pickled, and to decode it is to run code that an agent "
                "wrote, here, with all your rights. Let the agent return plain data (a table, an array, a dict), or "
                "pass `trust=True` if you accept that."
            ) from None
        except codec.Malformed as error:
            raise MalformedValueError(str(error)) from None
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the descriptor; calling it twice is fine."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def detach(self) -> int:
        """Returns the descriptor away: it is the caller's to close, and this buffer is closed."""
        with self._lock:
            fd, self._fd = self.fd, -1
        return fd

    def move_to(self, fd: int) -> None:
        """Take the same bytes from a file on disk, and let the memory go; `fd` stays the caller's."""
        with self._lock:
            if self._fd >= 0:
                os.dup2(fd, self._fd, inheritable=False)
                self.spilled = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __reduce__(self) -> str:
        raise TypeError(
            "A `Buffer` owns a descriptor and cannot be copied; make a second owner with `dup()`."
        )

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.kind}, {self.size:,} bytes"
        return f"<Buffer {self.description.get('summary', '')!r} ({state})>"


def is_plain(value: object) -> TypeGuard[str | bytes]:
    """Whether a value is large, and the same bytes here and anywhere: `bytes`, or a text of ASCII alone."""
    if isinstance(value, str):
        return type(value) is str and len(value) >= LARGE_TEXT and value.isascii()
    return type(value) is bytes and len(value) >= LARGE_TEXT


def _make_chart(parts: ChartParts) -> Any:
    from rlm_jupyter.values.charts.rebuild import rebuild

    return rebuild(parts)


def placeholder_fd() -> int:
    """Make a file that stands for a value which a template of kernels holds; the descriptor is the caller's."""
    return container.write("safe", _TOKEN, [])


def _fixed(value: object) -> tuple[object] | None:
    """Keep what can never change (a text, bytes, a collection of some), so that it can be encoded anew."""
    kind = type(value)
    if kind in _FIXED:
        return (value,)
    if isinstance(value, (dict, list, tuple)) and kind in (dict, list, tuple) and len(value) <= _MAX_FIXED:
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        if all(type(part) in _FIXED for part in parts):
            return (kind(value),)
    return None
