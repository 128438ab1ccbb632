"""Replies on disk: running a notebook again costs nothing and gives the same.

`ReplyCache` is the file, shared by all runs and processes; `RunCache` is one run's view of it.

What makes a request the same: the model's own `identity` (name, address without secrets, parameters), the
request's parameters, every message, the sample of the question that it belongs to, and the how-manieth time this run
asks it. The last two, so that three samples of one prompt stay three different replies. `max_tokens` is left out,
because it is clamped to what a run may still spend; only replies that ended by themselves are kept, and those are the
same under any bound.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import json
import os
import sqlite3
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from rlm_jupyter.background import BackgroundThread, QueueFullError
from rlm_jupyter.models.base import Completion, Message, Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from rlm_jupyter.models.base import ChatModel, CompletionRequest

T = TypeVar("T")

_VERSION: Final = 1
_TRIES: Final = 5
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, reply TEXT NOT NULL, bytes INTEGER NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON replies (used);
"""
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_ROW_BYTES: Final = 200
"""What a row takes besides its reply."""


def default_path(env: Mapping[str, str] | None = None) -> Path:
    """Returns where replies are kept: the user's directory for caches."""
    env = os.environ if env is None else env
    if given := env.get("XDG_CACHE_HOME"):
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(env.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return base / "rlm_jupyter" / "replies.sqlite3"


def request_key(model: ChatModel, request: CompletionRequest, occurrence: int = 0) -> str | None:
    """Returns the key of a request; None for a model that tells no `identity`, whose replies are not kept."""
    identity = getattr(model, "identity", None)
    if model.scripted or not isinstance(identity, Mapping):
        return None
    messages = [_keyed(message) for message in request.messages]
    parts = [_VERSION, dict(identity), request.parameters, messages, occurrence]
    if request.sample > 1:  # the first is the same request as that of a question without samples
        parts.append(request.sample)
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _keyed(message: Message) -> Mapping[str, object]:
    """Returns a message with the hashes of its images and audio in their place."""
    keyed: dict[str, object] = dict(message)
    for kind, files in (("images", message.get("images")), ("audio", message.get("audio"))):
        if files:
            keyed[kind] = [file.sha256 for file in files]
    return keyed


CLOSE_SECONDS: Final = 2.0
_MOST_WAITING: Final = 10_000
"""Jobs that may wait for the file."""
_ANSWER_SECONDS: Final = 3.0
"""A file that takes longer to be asked is slower than it is worth: the run goes on without it."""


class ReplyCache:
    """A file of replies, bounded in size; what was used longest ago goes first.

    It never stands in the way: a file that is damaged is renamed aside and begun anew, and where nothing can
    be written, nothing is kept. Safe from several threads and processes. Only its owner may read the file.
    Its methods block; `background` keeps an event loop from waiting for them.

    Args:
        path: the file; its directory is made.
        max_bytes: the most bytes that replies may take.

    Attributes:
        problem: why nothing is kept, in a sentence; None if all is well.
        background: does what the engine's loop must not wait for, in its order.
    """

    def __init__(self, path: Path, max_bytes: int = 256 * 2**20) -> None:
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.problem: str | None = None
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._total = 0
        self._owner = os.getpid()
        self.background = BackgroundThread("rlm-replies", most=_MOST_WAITING)

    def __enter__(self) -> ReplyCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if is_finalizing():
            return  # modules are gone already; the file is closed with the process
        self.close()

    @property
    def total(self) -> int:
        """The bytes that replies take, about."""
        return self._run(_sum) or 0

    def get(self, key: str) -> Completion | None:
        """Return the reply of that key, or None; it counts as used."""
        known = self.find(key)
        if known is not None:
            self.touch(key)
        return known

    def find(self, key: str) -> Completion | None:
        """Return the reply of that key, or None."""
        return self._run(lambda db: _find(db, key))

    def touch(self, key: str) -> None:
        """Count the reply of that key as used now."""
        self._run(lambda db: _touch(db, key))

    def put(self, key: str, completion: Completion) -> None:
        """Keep a reply, unless it is larger than a tenth of the whole."""
        reply = _dumped(completion)
        if len(reply) + _ROW_BYTES <= self.max_bytes // 10:
            self._run(lambda db: self._put(db, key, reply))

    def clear(self) -> None:
        """Forget all replies."""
        self._run(lambda db: self._shrink(db, 0))

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Close the file; the next use opens it again. One that hangs is left to its thread after so many seconds."""
        if os.getpid() != self._owner:
            return  # in a forked child the lock's holder may not exist, and SQLite's files are the parent's
        if self._lock.acquire(timeout=seconds):
            try:
                self._close()
            finally:
                self._lock.release()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do `work` on the open file; None if that cannot be."""
        with self._lock:
            for _ in range(_TRIES):
                try:
                    result = work(self._open())
                except (sqlite3.Error, OSError) as error:
                    self.problem = f"Replies are not kept in `{self.path}`: {error}."
                    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                    if code in _DAMAGED:
                        self._put_aside()
                    elif code == sqlite3.SQLITE_BUSY:
                        time.sleep(0.01)  # not all of SQLite's steps wait for the lock by themselves
                    else:
                        break
                else:
                    self.problem = None
                    return result
        return None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with its rights before SQLite opens it: prompts hold data, and the side files take its mode.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        with suppress(OSError):
            self.path.chmod(0o600)
        db = sqlite3.connect(self.path, timeout=0.5, isolation_level=None, check_same_thread=False)
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
                raise _damaged("another version")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(f"PRAGMA journal_size_limit = {4 * 2**20}")
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version = {_VERSION}")
            self._total = _sum(db)
        except BaseException:
            db.close()
            raise
        self._connection = db
        return db

    def _put_aside(self) -> None:
        self._close()
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        with suppress(OSError):
            self.path.replace(aside)
        for suffix in ("-wal", "-shm"):
            with suppress(OSError):
                self.path.with_name(self.path.name + suffix).unlink()

    def _put(self, db: sqlite3.Connection, key: str, reply: str) -> None:
        size = len(reply.encode()) + _ROW_BYTES
        db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", (key, reply, size, time.time_ns()))
        self._total += size
        if self._total > self.max_bytes:
            self._shrink(db, self.max_bytes * 9 // 10)

    def _shrink(self, db: sqlite3.Connection, most: int) -> None:
        self._total = _sum(db)
        while self._total > most:
            oldest = db.execute("SELECT key, bytes FROM replies ORDER BY used LIMIT 256").fetchall()
            gone: list[tuple[str]] = []
            for key, size in oldest:
                if self._total <= most:
                    break
                gone.append((key,))
                self._total -= size
            with db:  # one transaction, undone where it fails
                db.execute("BEGIN")
                db.executemany("DELETE FROM replies WHERE key = ?", gone)
        db.execute("PRAGMA incremental_vacuum").fetchall()


class RunCache:
    """One run's view of a `ReplyCache`: it counts how often the run asks the same.

    Each request that `get` did not know is ended by `put` or by `drop` of that very object. Of requests that are
    the same and in flight together each keeps its own place, whoever ends first. Belongs to an event loop, which
    never waits for the file: it is read and written by a thread, and a run does not wait long for a reply of it.

    Args:
        replies: the file.
        seconds: how long a request waits for the file; where that is not enough, none of the run waits any more.

    Attributes:
        problem: why the run does without the file, in a sentence; None if it does not.
    """

    def __init__(self, replies: ReplyCache, seconds: float = _ANSWER_SECONDS) -> None:
        self.problem: str | None = None
        self._replies = replies
        self._seconds = seconds
        self._lock = threading.Lock()
        self._asked: defaultdict[str, int] = defaultdict(int)
        self._given_up: defaultdict[str, list[int]] = defaultdict(list)
        # By identity, with the request itself: a number of one that is gone may be that of another.
        self._places: dict[int, tuple[CompletionRequest, int]] = {}

    async def get(self, model: ChatModel, request: CompletionRequest) -> Completion | None:
        """Return the reply to the same request, or None. Places are given in the order of the calls."""
        first = request_key(model, request)
        if first is None:
            return None
        with self._lock:
            if given_up := self._given_up.get(first):
                occurrence = heapq.heappop(given_up)
            else:
                occurrence = self._asked[first]
                self._asked[first] += 1
            self._places[id(request)] = (request, occurrence)
        key = request_key(model, request, occurrence)
        try:
            known = None if key is None or self.problem else await self._find(key)
        except BaseException:
            self.drop(model, request)
            raise
        if known is not None:
            with self._lock:
                self._places.pop(id(request), None)
        return known

    async def _find(self, key: str) -> Completion | None:
        background = self._replies.background
        try:
            async with asyncio.timeout(self._seconds):
                known = await asyncio.wrap_future(background.submit(partial(self._replies.find, key)))
            if known is not None:
                background.submit(partial(self._replies.touch, key))
        except (TimeoutError, QueueFullError):
            self.problem = (
                f"The cache of replies in `{self._replies.path}` did not answer in {self._seconds:g} s: this run goes "
                "on without it. Set `XDG_CACHE_HOME` to a local disk, or ask with `cache=False`."
            )
            return None
        return known

    def put(self, model: ChatModel, request: CompletionRequest, completion: Completion) -> None:
        """Keep the reply to a request that `get` did not know, where it ended by itself; soon, see `drained`."""
        first = request_key(model, request)
        if first is None:
            return
        with self._lock:
            _, occurrence = self._places.pop(id(request), (request, None))
        if occurrence is None or completion.finish_reason != "stop" or not completion.text:
            return
        key = request_key(model, request, occurrence)
        if key is not None:
            with suppress(QueueFullError):  # it will be asked for again
                self._replies.background.submit(partial(self._replies.put, key, completion))

    def drained(self) -> Future[None]:
        """Return a future that is done when all that was put so far is in the file."""
        return self._replies.background.drained()

    def drop(self, model: ChatModel, request: CompletionRequest) -> None:
        """Release the place of a request that brought no reply: the next one that asks the same has it."""
        first = request_key(model, request)
        if first is None:
            return
        with self._lock:
            _, occurrence = self._places.pop(id(request), (request, None))
            if occurrence is not None:
                heapq.heappush(self._given_up[first], occurrence)


def _find(db: sqlite3.Connection, key: str) -> Completion | None:
    row = db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
    return None if row is None else _loaded(row[0])


def _touch(db: sqlite3.Connection, key: str) -> None:
    db.execute("UPDATE replies SET used = ? WHERE key = ?", (time.time_ns(), key))


def _damaged(why: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


def _sum(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(sum(bytes), 0) FROM replies").fetchone()[0])


def _dumped(completion: Completion) -> str:
    usage = completion.usage
    return json.dumps(
        {
            "text": completion.text,
            "usage": None
            if usage is None
            else [usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.estimated],
            "cost": completion.cost,
            "model": completion.model,
            "finish_reason": completion.finish_reason,
            "attempts": completion.attempts,
        }
    )


def _loaded(reply: str) -> Completion | None:
    try:
        fields = json.loads(reply)
        usage = fields.pop("usage")
        completion = Completion(**fields, usage=None if usage is None else Usage(*usage))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return completion if _is_sound(completion) else None


def _is_sound(completion: Completion) -> bool:
    """Whether a reply that was kept is one: the file may have been written by others."""
    usage, cost = completion.usage, completion.cost
    texts = (completion.text, completion.model, completion.finish_reason)
    counts = [completion.attempts]
    if usage is not None:
        counts += [usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens]
    return (
        all(isinstance(text, str) for text in texts)
        and all(type(count) is int and 0 <= count < 1 << 53 for count in counts)
        and (cost is None or (isinstance(cost, (int, float)) and 0 <= cost < 1 << 30))
    )
