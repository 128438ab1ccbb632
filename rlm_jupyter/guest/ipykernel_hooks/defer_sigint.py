"""What must not be interrupted in the middle: a message or a frame that is half sent spoils all that follow.

Travels as source into any Python kernel: standard library only.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred_sigint() -> Iterator[None]:
    """Let SIGINT wait until the block is done.

    Blocking the signal is not enough: another thread would take it, and the main one raise all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    struck: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, as between cells
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _: struck.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if struck:
            signal.raise_signal(signal.SIGINT)
