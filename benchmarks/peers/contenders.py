"""The contenders, other implementations in environments of their own."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.figures import GROUPS
from benchmarks.quality.harness_peers import ROOT, Peer


class SpeedPeer(Peer):
    """Another implementation whose environment is not that of the quality suite: it may need more."""

    @property
    def environment(self) -> Path:
        """The folder of its environment."""
        return ROOT / ".venvs" / f"peers-{self.name}"


@dataclass(frozen=True)
class Contender:
    """One column of the table.

    Attributes:
        name: of the column.
        peer: its environment; None: the one of this process.
        kept: how many warm runs of sub-agents it is asked for at most; None: as many as the sizes say.
        groups: of figures that it can do otherwise than others; of the rest it has none.
        variables: of its process's environment.
    """

    name: str
    peer: SpeedPeer | None = None
    kept: int | None = None
    groups: tuple[str, ...] = GROUPS
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def python(self) -> Path:
        """The Python that runs it."""
        return Path(sys.executable) if self.peer is None else self.peer.python

    def versions(self) -> dict[str, str]:
        """Returns the versions of what is measured."""
        if self.peer is not None:
            return self.peer.versions()
        package = {"rlm_jupyter": version("rlm_jupyter")} if self.name == "ours" else {}
        return {**package, "python": platform.python_version()}


_DSPY = SpeedPeer("dspy", ("dspy==3.4.1",), "dspy")
# Else the first call of a process loads a table of prices from the network.
_NO_DOWNLOAD = (("LITELLM_LOCAL_MODEL_COST_MAP", "true"),)

CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("floor"),
        Contender("ours"),
        Contender("dspy", _DSPY, variables=_NO_DOWNLOAD),
        # A run of twenty kernels takes it some ten seconds.
        Contender("rlms", SpeedPeer("rlms", ("rlms[ipython]==0.1.3",), "rlms"), kept=1),
        Contender("dspy-host", _DSPY, groups=("batch", "agents"), variables=_NO_DOWNLOAD),
    )
}
