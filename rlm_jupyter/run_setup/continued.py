"""What a follow-up goes on with: the root agent of the earlier run, and a question's data beside the earlier data."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent.spec import Added
from rlm_jupyter.errors import ConfigError, KernelDiedError

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.engine.run.run import Run


def root_of(run: Run, *, replace_kernel: bool = False) -> Agent:
    """Returns the root agent that a follow-up to `run` goes on with.

    Args:
        run: an earlier run, which has ended.
        replace_kernel: whether a kernel that is gone is replaced, as long as the run was not closed.

    Raises:
        ConfigError: the run still goes on, was continued already, or never had a root.
        KernelDiedError: the root's kernel is gone.
    """
    if not run.done:
        raise ConfigError(
            f"Run `{run.id}` still runs: wait for it (`run.wait()`) or stop it (`%rlm stop`), then ask on.",
            run=run,
        )
    if run.continued_by is not None:
        raise ConfigError(
            f"Run `{run.id}` was continued by run `{run.continued_by}`, which has its kernel now: ask that one.",
            run=run,
        )
    root = run.answering
    if root is not None and root.spec.plain is not None:
        raise ConfigError(
            f"Run `{run.id}` was a plain call, which has no kernel to go on in: ask anew, with the data.",
            run=run,
        )
    if root is None or not root.messages:
        raise ConfigError(f"Run `{run.id}` ended before it asked anything: ask it anew.", run=run)
    if (root.kernel is None or not root.kernel.alive) and (run.closed or not replace_kernel):
        why = run.tree.agents[root.id].kernel_ended or "The run was closed, or is not among the last few."
        raise KernelDiedError(
            f"The root kernel of run `{run.id}` is gone, and its variables with it. {why} Ask anew, with the data.",
            run=run,
        )
    return root


def follow_up_spec(spec: AgentSpec, root: Agent) -> AgentSpec:
    """Make of a new question's spec that of a follow-up: the earlier data stays, new data is added to it."""
    earlier = root.spec
    kept = earlier.added
    if spec.memory is not None and spec.names:  # or each new state of the same data would stay, too
        kept = tuple(one for one in kept if one.names[1:] != spec.names)
    added = tuple(replace(one, data=one.data.dup()) for one in kept)
    if spec.context is not None:
        taken = {one.names[0] for one in added}
        number = next(n for n in count(2) if f"context_{n}" not in taken)
        added = (*added, Added(spec.context, (f"context_{number}", *spec.names), spec.item_names))
    return replace(
        spec,
        context=earlier.context.dup() if earlier.context is not None else None,
        names=earlier.names,
        item_names=earlier.item_names,
        tools={**earlier.tools, **spec.tools},
        added=added,
        brings_data=spec.context is not None,
        earlier=root,
    )
