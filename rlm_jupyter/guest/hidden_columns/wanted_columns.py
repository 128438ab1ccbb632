"""Which columns, keys and fields are wanted, by the expressions that the notebook made of the names and patterns.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MOST_KNOWN = 100_000
_MOST_NAMES = 10_000


class Wanted:
    """Says of names whether their values are wanted, and remembers by which expressions.

    Args:
        expressions: regular expressions of names in their case-folded form, each as a whole.
        prefixes: that may stand before a name: of what the file is called, with a point at their end.
        whole: whether all columns are wanted.

    Attributes:
        whole: as given.
        matched: the numbers of the expressions that a name was found for, by this and all that were made of it.
        seen: names that were wanted, by all of these too.
        found: whether anything was wanted.
    """

    def __init__(
        self, expressions: Sequence[str], prefixes: Sequence[str] = (), *, whole: bool = False
    ) -> None:
        self._expressions = {one: re.compile(one, re.DOTALL) for one in expressions}
        self._numbers = {one: number for number, one in enumerate(expressions)}
        self._prefixes = tuple(dict.fromkeys(prefix.casefold() for prefix in prefixes))
        self._known: dict[tuple[str, str], bool] = {}
        self.whole = whole
        self.matched: set[int] = set()
        self.seen: set[str] = set()
        self.found = False

    def of(self, prefixes: Sequence[str], *, whole: bool | None = None) -> Wanted:
        """Returns the same for one file, with more prefixes."""
        other = Wanted((), (*self._prefixes, *prefixes), whole=self.whole if whole is None else whole)
        other._expressions, other._numbers = self._expressions, self._numbers
        other.matched, other.seen = self.matched, self.seen
        return other

    def __call__(self, name: object, path: str = "") -> bool:
        """Returns whether a column is wanted.

        Args:
            name: of the column or key.
            path: the names of what it is in, with a point after each.
        """
        if not isinstance(name, str):
            name = str(name)
        if (known := self._known.get((name, path))) is None:
            forms = self._forms(name, path)
            fitting = [one for one, plan in self._expressions.items() if any(map(plan.fullmatch, forms))]
            known = self._remember(name, fitting) or self.whole
            if len(self._known) < _MOST_KNOWN:
                self._known[name, path] = known
        self.found = self.found or known
        return known

    def names(self, name: str, path: str = "") -> bool:
        """Returns whether a name is spelled out by an expression, and does not only fit a pattern."""
        known = self._remember(
            name, [one for one in map(re.escape, self._forms(name, path)) if one in self._numbers]
        )
        self.found = self.found or known
        return known

    def _remember(self, name: str, expressions: Sequence[str]) -> bool:
        if expressions and len(self.seen) < _MOST_NAMES:
            self.seen.add(name)
        self.matched.update(self._numbers[one] for one in expressions)
        return bool(expressions)

    def _forms(self, name: str, path: str) -> set[str]:
        """Returns how a name may be spelled, with and without what it is in."""
        form, within = name.casefold(), path.casefold()
        prefixes = ("", *self._prefixes)
        return {form, f"{within}{form}", *(f"{prefix}{form}" for prefix in prefixes)} | {
            f"{prefix}{within}{form}" for prefix in prefixes
        }
