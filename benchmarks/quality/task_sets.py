"""The sets of tasks by name: `all` (forty that are made from seeds) and `twelve`; and the choice among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from benchmarks.quality import code_tasks, label_tasks, search_tasks, table_tasks
from benchmarks.quality.task import Recipe, Task
from benchmarks.quality.twelve_tasks import twelve

SMALLEST, LARGEST = 2**13, 2**22


class UnknownTaskError(ValueError):
    """There is no task of a name that was asked for."""


def recipes() -> dict[str, Recipe]:
    """Returns the recipes of the set `all` by name."""
    modules = (search_tasks, label_tasks, code_tasks, table_tasks)
    return {recipe.name: recipe for recipe in chain.from_iterable(module.recipes() for module in modules)}


def names() -> list[str]:
    """Returns the names of all tasks; those of `twelve` begin with `twelve/`."""
    return [*recipes(), *(f"twelve/{task.name}" for task in twelve())]


def select(wanted: Iterable[str], *, seeds: Sequence[int] = (0,), size: int | None = None) -> Iterable[Task]:
    """Make tasks, one after the other, as they are wanted: large ones need not be in memory together.

    Args:
        wanted: `all`, `twelve`, names of tasks, `twelve/NAME`, or families such as `niah`.
        seeds: which tasks of these shapes; the set `twelve` has no others.
        size: characters of the data, about; None: as the set has it.

    Raises:
        UnknownTaskError: there is no such task.
    """
    chosen = _chosen(wanted)
    return _made(chosen, seeds, size)


def _chosen(wanted: Iterable[str]) -> list[Recipe | Task]:
    known = recipes()
    fixed = {f"twelve/{task.name}": task for task in twelve()}
    found: dict[str, Recipe | Task] = {}
    for name in wanted:
        family = {key: recipe for key, recipe in known.items() if recipe.family.replace(" ", "-") == name}
        if name == "all":
            found.update(known)
        elif name == "twelve":
            found.update(fixed)
        elif family:
            found.update(family)
        elif name in known or name in fixed:
            found[name] = known.get(name) or fixed[name]
        else:
            raise UnknownTaskError(
                f"There is no task `{name}`. There are: all, twelve, {', '.join(names())}."
            )
    return list(found.values())


def _made(chosen: list[Recipe | Task], seeds: Sequence[int], size: int | None) -> Iterable[Task]:
    for one in chosen:
        if isinstance(one, Task):
            yield one
        else:
            yield from (one.task(seed, size) for seed in seeds)
