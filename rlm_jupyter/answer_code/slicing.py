"""The backward slice of one agent: the statements of its cells on which its answer rests."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from rlm_jupyter.answer_code import vocabulary as words
from rlm_jupyter.answer_code.effects import ANSWERS, Scan
from rlm_jupyter.answer_code.exact_values import ExactValues
from rlm_jupyter.answer_code.facts import Facts
from rlm_jupyter.answer_code.failed_cells import failed_line, without_binding
from rlm_jupyter.answer_code.history import AgentHistory, Cell
from rlm_jupyter.answer_code.scopes import COMPREHENSIONS, bound_in, loads, own_nodes, parse
from rlm_jupyter.answer_code.statements import Unit
from rlm_jupyter.answer_code.versions import is_first, plain

_MOST_STATEMENTS = 3_000


class NoCodeError(Exception):
    """There is no code behind an answer; the message says why."""


@dataclass
class AgentSlice:
    """What of an agent's code its answer rests on.

    Attributes:
        ran: all statements that ran, with their effects.
        units: those that are kept, in the order in which they ran.
        final: the call that gave the answer, if it is a statement of its own.
        returns: the expression that is the answer; None if the answer is in the list of answers.
        appended: whether calls of FINAL stand in blocks or functions, so that answers are collected in a list.
        reads: names that the statements read and do not bind: data, tools, what is imported for them.
        dynamic: whether code in it hides what it reads (`exec`, `globals()`), so that all is kept.
        changes: names of data that may be changed in place.
        exact: what is true of the values of its variables.
        awaits: numbers of the cells that await at their top level.
    """

    history: AgentHistory
    facts: Facts
    ran: list[Unit]
    units: list[Unit]
    final: Unit | None
    returns: ast.expr | None
    appended: bool
    reads: set[str]
    dynamic: bool
    changes: set[str]
    awaits: set[int]
    exact: ExactValues

    @property
    def used(self) -> set[str]:
        """All names that the kept code reads."""
        nodes: list[ast.AST] = [unit.node for unit in self.units]
        return loads([*nodes, *([self.returns] if self.returns is not None else [])])

    @property
    def cells(self) -> list[Cell]:
        """The cells of which something is kept."""
        cells = [unit.cell for unit in self.units]
        last = self.history.last
        asking = words.WORDS | {"classify"}
        if last is not None and self.returns is not None and loads([self.returns]) & asking:
            cells.append(last)
        return list({id(cell): cell for cell in cells}.values())


def slice_agent(history: AgentHistory, data: tuple[str, ...], *, whole: bool = False) -> AgentSlice:
    """Returns the slice of an agent that gave an answer.

    Args:
        history: of the agent.
        data: the names that its data has besides `context`: of the object, or of the items of the dict.
        whole: keep all statements that ran.

    Raises:
        NoCodeError: it gave none, or its code is not Python.
    """
    last = history.last
    if last is None:
        raise NoCodeError(f"Agent `{history.id}` gave no answer by a cell that is known.")
    units = _units(history, last)
    if len(units) > _MOST_STATEMENTS:
        raise NoCodeError(f"Agent `{history.id}` ran more than {_MOST_STATEMENTS:,} statements.")
    frames = {name for name, seen in history.types.items() if seen and seen <= words.FRAME_TYPES}
    fixed = {name for name, seen in history.types.items() if seen and seen <= words.IMMUTABLE_TYPES}
    same = [("context", *data)]
    facts = Facts([unit.node for unit in units], fixed, frames, same)
    exact = ExactValues(units, fixed, frames, same)
    ran = units
    units, returns, wanted, final = _criterion(units, last, facts)
    for unit in ran:
        unit.effects = Scan.of(unit.node, facts)
    dynamic = whole or any(unit.effects.dynamic and not _only_shows(unit.node) for unit in units)
    kept, needed = exact.backward(units, returns, final, wanted)
    reads = {plain(name) for name in needed}
    if dynamic:
        kept = [unit for unit in units if not _is_magic(unit.node)]
        reads |= {name for unit in kept for name in unit.effects.reads}
    if any(_is_magic(unit.node) for unit in kept):
        raise NoCodeError(
            f"Agent `{history.id}` rests on a line of IPython (`%` or `!`), which is not Python."
        )
    changed = {name for unit in kept for name in exact.facts.aliases(unit.exact.changes)}
    changes = {name for name in changed if is_first(name)}
    awaits = {unit.cell.number for unit in units if _awaits(unit.node)}
    return AgentSlice(
        history,
        facts,
        ran,
        kept,
        final,
        returns,
        ANSWERS in wanted,
        reads,
        dynamic,
        changes,
        awaits,
        exact,
    )


def _units(history: AgentHistory, last: Cell) -> list[Unit]:
    units: list[Unit] = []
    for cell in history.cells:
        tree = parse(cell.code)
        if tree is None:
            tree = _with_magics(cell)
        elif cell.status != "ok":
            units += _of_failed(cell, tree)
            continue
        units += [Unit(cell, node) for node in tree.body] if tree is not None else []
        if cell is last:
            break
    return units


def _of_failed(cell: Cell, tree: ast.Module) -> list[Unit]:
    """Returns the statements of a cell that ran before the one that failed, and that one as far as it may have run."""
    line = failed_line(cell.output)
    units: list[Unit] = []
    for node in tree.body:
        end = node.end_lineno or node.lineno
        if line is None or end < line:
            units.append(Unit(cell, node, raised=line is None))
        elif node.lineno <= line:
            units.append(Unit(cell, _guarded([without_binding(node)]), raised=True))
    if (
        line is None and cell.status == "error"
    ):  # it is not known how far it came: all of it stands or falls together
        return [Unit(cell, _guarded(tree.body), raised=True)]
    return units


def _guarded(body: list[ast.stmt]) -> ast.Try:
    """Returns statements that end by an error, as they did, without ending the code."""
    handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [ast.Pass()])
    made = ast.Try(body=body, handlers=[handler], orelse=[], finalbody=[])
    made.lineno, made.end_lineno = body[0].lineno, body[-1].end_lineno
    made.col_offset = body[0].col_offset
    return ast.fix_missing_locations(made)


def _with_magics(cell: Cell) -> ast.Module | None:
    """Parse a cell with lines of IPython: each is a call of `get_ipython`, in a statement that nothing may rest on."""
    if cell.status != "ok":
        return None
    try:
        from IPython.core.inputtransformer2 import TransformerManager

        return parse(TransformerManager().transform_cell(cell.code))  # type: ignore[no-untyped-call]
    except (ImportError, SyntaxError, ValueError):
        return None


# ---- which value is the answer


def _criterion(
    units: list[Unit], last: Cell, facts: Facts
) -> tuple[list[Unit], ast.expr | None, set[str], Unit | None]:
    """Find the answer; return the statements before it, its expression, the names to begin with, and its call."""
    direct = [unit for unit in units if unit.cell is last and _final_call(unit.node) is not None]
    mine = [unit for unit in units if unit.cell is last]
    calls = sum(_finals_in(unit.node) for unit in mine)
    in_functions = any("<answers>" in facts.functions[name].changes for name in facts.functions)
    if direct and calls == len(direct) and not in_functions:
        chosen = direct[min(len(direct), max(last.answers, 1)) - 1]
        call = _final_call(chosen.node)
        assert call is not None
        rest = [unit for unit in units[: units.index(chosen)] if _final_call(unit.node) is None]
        return rest, given_to_final(call, facts), set(), chosen
    others = [unit for unit in units if unit.cell is last or _final_call(unit.node) is None]
    if calls or in_functions:
        return others, None, {ANSWERS}, None
    if any("FINAL" in bound_in([unit.node]) for unit in mine):
        return others, ast.Name("FINAL", ast.Load()), set(), None
    content = ast.Subscript(ast.Name("answer", ast.Load()), ast.Constant("content"), ast.Load())
    return others, content, set(), None


def _final_call(node: ast.stmt) -> ast.Call | None:
    """Returns the call of FINAL that a statement is; None if it is another one."""
    value = node.value if isinstance(node, ast.Expr) else None
    if isinstance(value, ast.Await):
        value = value.value
    return value if isinstance(value, ast.Call) and _is_final(value) else None


def _is_final(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in words.FINALS


def _finals_in(node: ast.AST) -> int:
    return sum(_is_final(one) for one in ast.walk(node))


def given_to_final(call: ast.Call, facts: Facts) -> ast.expr:
    """Returns the expression of what a call of FINAL gave."""
    name = call.func.id if isinstance(call.func, ast.Name) else "FINAL"
    if name == "SUBMIT" and call.keywords:
        return ast.Dict(
            [ast.Constant(keyword.arg) if keyword.arg else None for keyword in call.keywords],
            [keyword.value for keyword in call.keywords],
        )
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if len(given) != 1:
        return ast.Tuple(given, ast.Load())
    value = given[0]
    if name == "FINAL_VAR" and isinstance(value, ast.Constant) and isinstance(value.value, str):
        bare = value.value.strip().strip("\"'`")
        if bare.isidentifier() and (bare in facts.bound or bare == "context"):
            return ast.Name(bare, ast.Load())
    if isinstance(value, ast.Name) and value.id == "answer" and "answer" not in facts.bound:
        return ast.Subscript(ast.Name("answer", ast.Load()), ast.Constant("content"), ast.Load())
    return value


def _is_magic(node: ast.stmt) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "get_ipython" for one in ast.walk(node))


def _only_shows(node: ast.stmt) -> bool:
    """Whether a statement is a call of `print` or the like."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in words.SHOWING


def _awaits(node: ast.stmt) -> bool:
    for one in own_nodes([node]):
        if isinstance(one, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
        if isinstance(one, COMPREHENSIONS):
            if any(isinstance(part, ast.Await) for part in ast.walk(one)):
                return True
            if any(generator.is_async for generator in getattr(one, "generators", [])):
                return True
    return False
