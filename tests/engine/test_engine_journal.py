"""The journal of a run: each listener hears its events in their order, whoever causes them."""

import threading

import pytest

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.journal import Journal


def heard(journal):
    """Subscribe; give the list in which the texts of notices gather."""
    texts = []
    journal.subscribe(lambda event: texts.append(event.text))
    return texts


def test_an_event_that_a_listener_causes_is_heard_by_all_after_the_one_that_caused_it():
    journal = Journal("run")
    first = heard(journal)

    def answers(event):
        if event.text.isdigit():
            journal.emit(ev.Notice, text=f"after {event.text}")

    journal.subscribe(answers)
    last = heard(journal)
    for number in range(3):
        journal.emit(ev.Notice, text=str(number))
    expected = ["0", "after 0", "1", "after 1", "2", "after 2"]
    assert first == last == expected == [event.text for event in journal.events]


def test_events_of_several_threads_are_heard_in_the_order_of_the_journal():
    journal = Journal("run")
    listeners = [heard(journal) for _ in range(3)]
    begin = threading.Barrier(4)

    def emit(name):
        begin.wait(20)
        for number in range(500):
            journal.emit(ev.Notice, text=f"{name}{number}")

    threads = [threading.Thread(target=emit, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = [event.text for event in journal.events]
    assert len(expected) == 2000
    assert listeners == [expected] * 3


def test_a_listener_that_fails_or_is_interrupted_keeps_no_event_from_the_others():
    journal = Journal("run")
    first = heard(journal)
    errors = [KeyboardInterrupt(), ValueError()]

    def fails(_):
        raise errors.pop(0)

    journal.subscribe(fails)
    last = heard(journal)
    with pytest.raises(KeyboardInterrupt):
        journal.emit(ev.Notice, text="0")
    journal.emit(ev.Notice, text="1")
    journal.emit(ev.Notice, text="2")
    assert first == ["0", "1", "2"]
    assert last == ["1", "2"]
