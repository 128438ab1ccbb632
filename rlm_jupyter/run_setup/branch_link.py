"""Tells a run of its branches: its log names them, and its tree shows them as they go."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.recorded_run import Branch
    from rlm_jupyter.engine.run.run import Run


def link_branch(run: Run, made: Run, branch: Branch) -> None:
    """Tell a run that another one leaves it at a turn, and what becomes of that one, as long as both are held.

    Args:
        run: which is left; it has ended. Of one that is closed, the log is closed too, and does not name the branch.
        made: the branch, which has begun.
        branch: where and how it leaves the run.
    """
    root = run.root
    if root is None:
        return
    journal = root.services.journal
    change = "code" if branch.code is not None else "observation"
    log = made.log_path.name if made.log_path is not None else None
    journal.emit(ev.BranchStarted, branch.agent, branch=made.id, turn=branch.turn, change=change, log=log)
    # Neither run may keep the other one in memory.
    known = weakref.ref(journal)

    def hear(event: ev.AnyEvent) -> None:
        if (left := known()) is None:
            return
        left.emit(ev.BranchEvent, branch.agent, branch=made_id, event=event)
        if not isinstance(event, ev.RunFinished):
            return
        with left.lock:
            tree = left.state.branch_trees.get(made_id)
        if tree is None:
            return
        left.emit(
            ev.BranchFinished,
            branch.agent,
            branch=made_id,
            status=tree.status,
            agents=len(tree.agents),
            input_tokens=tree.input_tokens,
            output_tokens=tree.output_tokens,
            cost=tree.cost,
            seconds=tree.elapsed,
            value=tree.value,
            error=tree.error,
        )

    made_id = made.id
    with made.lock:  # while it is held, nothing new is told
        past = made.events
        made.subscribe(hear)
        for event in past:
            hear(event)
