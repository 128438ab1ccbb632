"""Whether forked kernels work with the ipykernel that is installed: the first one of a pool is put to the test.

A forked kernel is made of ipykernel's own parts (see `direct`), some of which have private names, so that an upgrade
may change them in any way: a name, a signature, a meaning. That is found by no comparison of versions, and by no
import. So the first forked kernel has to start, await and print. Where it does not, and a stock kernel for the same
request does, kernels of this pool are stock ones from then on, executed by the supervisor in the same box.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_jupyter.errors import KernelDiedError, KernelStartError
from rlm_jupyter.kernels.launch.kernel_process import KernelProcess, finish
from rlm_jupyter.kernels.launch.tried_versions import tried

if TYPE_CHECKING:
    from rlm_jupyter.kernels.launch.kernel_process import Launch
    from rlm_jupyter.kernels.launch.supervisor_client import Supervisor

SECONDS = 30.0
"""For the first forked kernel to start, and as much again to run its first cell; the next ones have longer."""
_CELL = "import asyncio as _a; await _a.sleep(0); print('works'); del _a"
_LONGEST = 500


class ForkCheck:
    """Starts kernels, forked where that works. Belongs to the event loop of its pool.

    Args:
        notice: called once with a sentence, where it does not.

    Attributes:
        works: whether forked kernels do; None until the first one was tried.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self.works: bool | None = None
        self._notice = notice

    async def start(self, launch: Launch, root: Supervisor | None) -> KernelProcess:
        """Start a kernel.

        Args:
            launch: how it is to be started.
            root: what executes a stock kernel, where the supervisor of `launch` is a template.

        Raises:
            KernelStartError: neither a forked kernel nor a stock one starts; the message is of the forked one.
        """
        if not launch.forks or self.works:
            return await KernelProcess.start(launch)
        stock = replace(launch, execute=True, supervisor=root)
        if self.works is False:
            return await KernelProcess.start(stock)
        try:
            process = await _start_and_prove(launch)
        except KernelStartError as error:
            if self.works or launch.supervisor is None or not launch.supervisor.alive or root is None:
                raise
            try:
                process = await KernelProcess.start(stock)
            except KernelStartError:
                raise error from None  # whatever is wrong, it is not that kernels are forked
            self.fails(error.message)
            return process
        self.works = True
        return process

    def fails(self, why: str) -> None:
        """Take note that forked kernels do not work, and say so once."""
        if self.works is not False:
            self.works = False
            if len(why) > 2 * _LONGEST:  # what happened comes first, and the error at the end of a traceback
                why = f"{why[:_LONGEST]} … {why[-_LONGEST:]}"
            self._notice(
                f"Kernels cannot be forked with the ipykernel that is installed ({tried('ipykernel')}). Stock kernels "
                f"are started instead, which is slower, and each loads the data for itself. The reason: {why}"
            )


async def _start_and_prove(launch: Launch) -> KernelProcess:
    process = await KernelProcess.start(launch, SECONDS)
    try:
        await _prove(process)
    except BaseException:
        await finish(process.close())
        raise
    return process


async def _prove(process: KernelProcess) -> None:
    """Run a cell as agents do.

    Raises:
        KernelStartError: it does not reply, or its output is not heard.
    """
    printed: list[str] = []
    try:
        async with asyncio.timeout(SECONDS):
            request = process.send(
                _CELL, lambda kind, content: printed.append(f"{kind} {content.get('text')}"), silent=True
            )
            reply = await process.or_death(request.reply)
            await process.settled(request)
    except TimeoutError:
        raise KernelStartError(
            f"The first forked kernel did not run a cell within {SECONDS:.0f} s."
        ) from None
    except KernelDiedError as error:
        raise KernelStartError(f"The first forked kernel did not run a cell: {error}.") from None
    if reply.get("status") != "ok" or "stream works" not in "".join(printed):
        shown = ", ".join(printed)[:200] or "nothing"
        raise KernelStartError(
            f"The first forked kernel replied `{reply.get('status')}`, and showed {shown}."
        )
