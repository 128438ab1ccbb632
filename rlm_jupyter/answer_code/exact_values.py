"""The backward slice over the values that an agent's variables had one after another."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rlm_jupyter.answer_code.effects import Scan
from rlm_jupyter.answer_code.facts import Facts
from rlm_jupyter.answer_code.scopes import is_future, is_star
from rlm_jupyter.answer_code.versions import Versions

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.statements import Unit


class ExactValues:
    """What is true of the values that an agent's variables had one after another.

    Args:
        units: all statements that ran; the effects of each on these values are set.
        fixed: names of variables that never were anything but what cannot change.
        frames: names of variables that never were anything but tables and arrays.
        same: groups of names that stand for the same object from the start.
    """

    def __init__(
        self, units: list[Unit], fixed: set[str], frames: set[str], same: list[tuple[str, ...]]
    ) -> None:
        self.versions = Versions(units)
        known = self.versions.all_of(fixed), self.versions.all_of(frames)
        self.facts = Facts(self.versions.nodes, *known, same)
        for unit, node in zip(units, self.versions.nodes, strict=True):
            unit.exact = Scan.of(node, self.facts)

    def backward(
        self, units: list[Unit], returns: ast.expr | None, before: Unit | None, wanted: set[str]
    ) -> tuple[list[Unit], set[str]]:
        """Go from the answer to what it rests on; return the statements, and the values that none of them binds.

        Args:
            units: statements.
            returns: the expression to begin with.
            before: the statement before which it has its value; None: after all.
            wanted: names to begin with.
        """
        needed = set(wanted)
        if returns is not None:
            needed |= Scan.of(ast.Expr(self.versions.at(before, returns)), self.facts).reads
        kept: list[Unit] = []
        for unit in reversed(units):
            effects = unit.exact
            touched = effects.may_bind | effects.binds | self.facts.aliases(effects.changes)
            if not (touched & needed or is_star(unit.node) or is_future(unit.node)):
                continue
            kept.append(unit)
            if not unit.raised:
                needed -= effects.binds
            needed |= effects.reads
        return kept[::-1], needed
