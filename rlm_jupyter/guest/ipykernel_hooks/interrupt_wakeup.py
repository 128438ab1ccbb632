"""SIGINT in a cell that awaits: the event loop of the main thread wakes for it.

Travels as source into any Python kernel: standard library only.
"""

import asyncio
import signal
import threading


def wake_on_interrupt() -> None:
    """Let SIGINT wake the event loop, so that it interrupts a cell that awaits.

    ipykernel's handler uses `call_soon`, which does not wake a loop that sleeps in `select`
    (ipython/ipykernel#881, #1239).
    """
    wake = getattr(asyncio.get_running_loop(), "_csock", None)
    if wake is not None and threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
