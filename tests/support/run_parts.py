"""Runs of scripts in real kernels: what the tests of runs share."""

import contextlib
import time

from scripts import by_question

from rlm_jupyter import RLM


@contextlib.contextmanager
def asking(tmp_path):
    """Returns what asks a question with a script; all runs are closed at the end."""
    open_runs = []

    def start(
        script, question="root", context=None, *, limits=None, wait=True, model=None, settings=None, **options
    ):
        rlm = RLM(
            model=model or by_question(script),
            limits=limits,
            log_dir=tmp_path / "logs",
            cache=False,
            **(settings or {}),
        )
        run = rlm.start(question, context, **options)
        open_runs.append(run)
        return run.wait(200) if wait else run

    try:
        yield start
    finally:
        for run in open_runs:
            run.close()


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
