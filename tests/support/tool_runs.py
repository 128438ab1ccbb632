"""Runs for the tests of tools: a scripted model, real kernels, closed at the end."""

from contextlib import contextmanager

from scripts import by_question

from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel


@contextmanager
def asking(tmp_path):
    """Returns a function that asks a question with a script; its runs are closed at the end."""
    open_runs = []

    def ask(
        script,
        question="root",
        context=None,
        *,
        wait=True,
        limits=None,
        plain="plain",
        settings=None,
        **options,
    ):
        rlm = RLM(
            model=ScriptedModel(script) if callable(script) else by_question(script, plain=plain),
            limits=limits,
            log_dir=tmp_path / "logs",
            cache=False,
            **(settings or {}),
        )
        run = rlm.start(question, context, **options)
        run.rlm = rlm
        open_runs.append(run)
        return run.wait(60) if wait else run

    try:
        yield ask
    finally:
        for run in open_runs:
            run.close()


def told(run):
    """Returns all that was sent to the model in a run."""
    return "\n".join(message["content"] for request in run.rlm.model.requests for message in request.messages)
