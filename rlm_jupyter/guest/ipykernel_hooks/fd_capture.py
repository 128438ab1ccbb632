"""What goes past Python's streams to the descriptors 1 and 2, as C code and subprocesses write.

Travels as source into any Python kernel: standard library only.
ipykernel has a thread for each of them, of which nobody can tell when it has read all. Here one thread
reads both while a cell runs, and the end of the cell reads the rest itself.
"""

import codecs
import os
import select
import sys
import threading
from typing import Any

from .defer_sigint import deferred_sigint

_PIPE = 1 << 16
"""Bytes that a pipe holds: one reading takes all that was written before it, and no endless writer keeps it."""


class Descriptor:
    """What a stream's `fileno` gives: a copy, since IPython opens neither 1 nor 2, and who opens a number closes it."""

    def __init__(self, number: int) -> None:
        self._number, self._copy = number, os.dup(number)

    def __index__(self) -> int:
        try:
            valid = os.path.samestat(os.fstat(self._copy), os.fstat(self._number))
        except OSError:
            valid = False
        if not valid:
            self._copy = os.dup(self._number)
        return self._copy


class Descriptors:
    """Reads descriptors, and passes on to streams what was written there."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self._streams: dict[int, tuple[Any, codecs.IncrementalDecoder]] = {}

    def take(self, number: int, stream: Any) -> None:
        """Put a pipe in the place of a descriptor; ipykernel's thread sees the end of its own."""
        reading, writing = os.pipe()
        os.dup2(writing, number)
        os.close(writing)
        os.set_blocking(reading, False)
        self._streams[reading] = stream, codecs.getincrementaldecoder("utf-8")("replace")
        stream.descriptor = Descriptor(number)

    @property
    def readers(self) -> list[int]:
        """The ends of the pipes that are read."""
        return list(self._streams)

    def renew(self) -> None:
        """Put pipes and a thread of its own in the places of those of the process that this one is a copy of."""
        self.turn = threading.RLock()
        for number, reading in zip((1, 2), self._streams, strict=True):
            pipe = os.pipe()
            for end, place in zip(pipe, (reading, number), strict=True):
                os.dup2(end, place, inheritable=place == number)
                os.close(end)
            os.set_blocking(reading, False)
        self.start()

    def start(self) -> None:
        """Read from now on, whenever there is something."""
        threading.Thread(target=self._run, name="rlm-descriptors", daemon=True).start()

    def _run(self) -> None:
        poll = select.poll()
        for reading in self._streams:
            poll.register(reading, select.POLLIN)
        while True:
            poll.poll()
            self.drain()

    def drain(self) -> None:
        """Pass on all that has been written so far."""
        with deferred_sigint(), self.turn:
            for reading, (stream, decoder) in self._streams.items():
                try:
                    data = os.read(reading, _PIPE)
                except BlockingIOError:
                    continue
                stream.write(decoder.decode(data))


descriptors = Descriptors()


def install() -> None:
    """Read both descriptors for the streams of this kernel."""
    descriptors.take(1, sys.stdout)
    descriptors.take(2, sys.stderr)
    descriptors.start()
