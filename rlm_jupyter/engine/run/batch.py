"""Many questions at once, each a run of its own; the failure of one does not lose the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.samples.samples import SampleNumbers, Samples
from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.user_questions.audience import unattended

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run

_TICK = 0.1


def pairs(questions: Sequence[str], contexts: Sequence[Any] | None) -> list[tuple[str, dict[str, Any]]]:
    """Returns each question with the arguments that are its own.

    Raises:
        ConfigError: there are not as many contexts as questions, or a single text was given for many questions.
    """
    if isinstance(questions, str):
        raise ConfigError("`run_batch` takes a list of questions; for one question there is `run`.")
    asked = list(questions)
    if contexts is None:
        return [(question, {}) for question in asked]
    given = list(contexts)
    if len(given) != len(asked):
        raise ConfigError(
            f"There are {len(asked)} questions and {len(given)} contexts: give one for each, or `context=` for all."
        )
    return [(question, {"context": context}) for question, context in zip(asked, given, strict=True)]


def starts(
    start: Callable[..., Run],
    failed: Callable[[str, RLMError], Run],
    questions: Sequence[str],
    contexts: Sequence[Any] | None,
    options: Mapping[str, Any],
) -> list[Callable[[], Run]]:
    """Returns what starts the runs of a batch: nobody is asked, and equal questions are samples.

    Args:
        start: starts a run.
        failed: makes one that has failed already, of a question that cannot be asked.
        questions: of the batch.
        contexts: one for each; None: all have the same, or none.
        options: of all runs.

    Raises:
        ConfigError: as of `pairs`.
    """
    numbers = SampleNumbers()

    def begin(question: str, own: Mapping[str, Any]) -> Run:
        try:
            samples = Samples.read(options.get("samples"), verify=bool(options.get("verify")))
            with unattended():
                return start(question, **{**options, **own, "samples": samples.numbered(numbers)})
        except RLMError as error:
            return failed(str(question), error)

    return [partial(begin, question, own) for question, own in pairs(questions, contexts)]


def run_all(starts: Sequence[Callable[[], Run]], concurrency: int) -> list[Run]:
    """Start runs, so many at once, and wait for all of them; an interrupt stops those that go on.

    Args:
        starts: each starts a run, and raises nothing.
        concurrency: how many go on at once.

    Returns:
        The runs, ended, in order.

    Raises:
        ConfigError: `concurrency` is below 1.
    """
    if concurrency < 1:
        raise ConfigError(f"`concurrency` cannot be {concurrency}: give 1 or more.")
    places = threading.Semaphore(concurrency)
    runs: list[Run] = []
    try:
        for start in starts:
            while not places.acquire(timeout=_TICK):
                pass  # wakes so that an interrupt lands
            run = start()
            runs.append(run)
            _free_at_end(run, places)
        for run in runs:
            while not run.done:
                _wait(run)
    except BaseException:
        for run in runs:
            run.stop()
        raise
    return runs


def _free_at_end(run: Run, places: threading.Semaphore) -> None:
    lock, freed = threading.Lock(), False

    def free(event: ev.AnyEvent | None = None) -> None:
        nonlocal freed
        if event is not None and not isinstance(event, ev.RunFinished):
            return
        with lock:
            if not freed:
                freed = True
                places.release()

    run.subscribe(free)
    if run.done:  # it was quicker than the listener
        free()


def _wait(run: Run) -> None:
    try:
        run.wait(_TICK)
    except TimeoutError:
        return


async def started(start: Callable[[], Run]) -> Run:
    """Start a run on a thread, where its data is encoded: that of a large table takes seconds, and a loop must go on.

    Where the caller is cancelled meanwhile, the run is stopped as soon as it is there.

    Args:
        start: starts the run.
    """
    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_stop)
        raise


def _stop(starting: asyncio.Future[Run]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().stop()


async def run_all_awaited(starts: Sequence[Callable[[], Run]], concurrency: int) -> list[Run]:
    """Do as `run_all` without blocking the loop, so that it may run in an awaited cell; cancelling it stops all.

    Raises:
        ConfigError: `concurrency` is below 1.
    """
    if concurrency < 1:
        raise ConfigError(f"`concurrency` cannot be {concurrency}: give 1 or more.")
    places = asyncio.Semaphore(concurrency)
    in_turn = (
        asyncio.Lock()
    )  # equal questions are numbered as they start: the same batch has the same numbers again
    runs: dict[int, Run] = {}

    async def one(number: int, start: Callable[[], Run]) -> None:
        async with places:
            async with in_turn:
                runs[number] = await started(start)
            await runs[number]

    try:
        async with asyncio.TaskGroup() as group:
            for number, start in enumerate(starts):
                group.create_task(one(number, start))
    except BaseException:
        for run in runs.values():
            run.stop()
        raise
    return [runs[number] for number in range(len(runs))]
