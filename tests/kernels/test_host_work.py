"""Threads for what an agent's code causes: work that comes while a thread wakes is begun by another one."""

import threading
import time

from rlm_jupyter.kernels.host_work import Threads


def settled(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.001)


def test_work_is_not_left_to_a_thread_that_has_just_taken_other_work():
    threads, go = Threads("test", 2), threading.Event()
    assert threads.submit(lambda: 1).result(60) == 1
    settled(lambda: threads._idle == 1)
    threads._lock = threading.RLock()  # so that the thread, awake, can get no further while this one holds it
    with threads._lock:
        slow = threads.submit(go.wait)
        settled(threads._jobs.empty)
        quick = threads.submit(lambda: 2)
    assert quick.result(60) == 2
    go.set()
    assert slow.result(60)


def test_no_more_threads_are_started_than_there_may_be_and_one_that_is_free_is_taken():
    threads, go = Threads("test", 3), threading.Event()
    assert threads.submit(lambda: 0).result(60) == 0
    settled(lambda: threads._idle == 1)
    assert threads.submit(lambda: 1).result(60) == 1
    assert threads._count == 1
    held = [threads.submit(go.wait) for _ in range(9)]
    assert threads._count == 3
    go.set()
    assert all(one.result(60) for one in held)
    settled(lambda: threads._idle == 3)
