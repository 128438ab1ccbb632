"""The garbage collector is paused while the package imports its own modules, and is afterwards as it was."""

import gc
import os
import subprocess
import sys
import threading

import pytest

from rlm_jupyter.import_pause import no_collections


@pytest.fixture(autouse=True)
def enabled():
    """Let the collector see all: the collected tests are frozen (tests/order.py), and what is frozen is left alone."""
    frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.enable()
    yield
    gc.enable()
    if frozen:
        gc.freeze()


def test_it_is_paused_inside_and_goes_on_afterwards_also_after_an_error():
    with no_collections():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), no_collections():
        raise ImportError
    assert gc.isenabled()


def test_one_that_was_disabled_stays_so():
    gc.disable()
    with no_collections():
        pass
    assert not gc.isenabled()


def test_it_goes_on_when_the_last_of_several_has_ended():
    with no_collections():
        with no_collections():
            pass
        assert not gc.isenabled()
        inside, leave = threading.Event(), threading.Event()

        def other():
            with no_collections():
                inside.set()
                leave.wait(60)

        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(60)
    assert not gc.isenabled(), "the other thread still imports"
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_a_forked_child_collects():
    with no_collections():
        child = os.fork()
        if child == 0:
            os._exit(0 if gc.isenabled() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert gc.isenabled()


def test_what_was_made_is_not_looked_through_at_once_if_it_is_much():
    gc.collect()
    before = len(gc.get_objects(generation=2))
    with no_collections():
        made = [[] for _ in range(50_000)]
    assert len(gc.get_objects(generation=2)) - before >= len(made)
    with no_collections():
        young = [[] for _ in range(100)]
    assert not any(one is young[-1] for one in gc.get_objects(generation=2))


def test_what_was_frozen_stays_frozen():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with no_collections():
            made = [[] for _ in range(50_000)]
        assert frozen - 1000 < gc.get_freeze_count() <= frozen  # other threads may drop some
        assert made
    finally:
        gc.unfreeze()


USES = """
import gc, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[1:]:
            print(name, gc.isenabled())
sys.meta_path.insert(0, Finder())
from rlm_jupyter import RLM
rlm = RLM(model="ollama/none", early_start=False, log_dir=None, cache=False)
rlm.start("?", limits={"seconds": 0.1}, on_event=lambda event: None).wait(60)
print("after", gc.isenabled())
"""


def test_what_an_rlm_and_its_first_question_import_is_imported_so():
    names = ("rlm_jupyter.rlm", "rlm_jupyter.models.ollama.ollama_chat", "rlm_jupyter.engine.run.conductor")
    done = subprocess.run(
        [sys.executable, "-c", USES, *names], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines() == [*(f"{name} False" for name in names), "after True"]
