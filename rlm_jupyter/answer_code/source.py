"""Writes the code behind an answer: imports, recorded answers, a function for each sub-agent, and `answer`."""

from __future__ import annotations

import ast
import copy
import keyword
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rlm_jupyter.answer_code import vocabulary as words
from rlm_jupyter.answer_code.alike import alike_key
from rlm_jupyter.answer_code.code_places import Origin, places_of
from rlm_jupyter.answer_code.code_text import (
    ambiguous_imports,
    assigned_dict,
    indent,
    literal,
    referenced,
    without_nonlocal,
)
from rlm_jupyter.answer_code.forgotten_imports import missing_import
from rlm_jupyter.answer_code.history import AgentHistory, Completion, RunHistory
from rlm_jupyter.answer_code.look_functions import look_source
from rlm_jupyter.answer_code.plain_cell import AnswerCell, as_function, plain_cell
from rlm_jupyter.answer_code.plain_functions import IMPORTS, needed_helpers
from rlm_jupyter.answer_code.recorded_answers import recorded_table
from rlm_jupyter.answer_code.rewriting import Names, Rewriter, Target
from rlm_jupyter.answer_code.scopes import (
    bound_in,
    evaluated,
    free_names,
    import_names,
    is_future,
    is_star,
    loads,
    parsed,
)
from rlm_jupyter.answer_code.simplifying import Simplifier, renamed_data
from rlm_jupyter.answer_code.slicing import AgentSlice, NoCodeError, slice_agent
from rlm_jupyter.answer_code.steps import Step, steps_of

_MOST_CODE = 1_000_000
"""Characters that the agents of a run may have run: what reads their code is to be quick."""
_NOT_CODE = {
    "budget": "`budget()`, which tells what a run has left",
    "mcp_call": "answers of an MCP server, which a run does not record",
}
_NOT_CODE |= dict.fromkeys(
    ("mcp_list_tools", "mcp_tool_schema", "mcp_list_resources", "mcp_read_resource"), _NOT_CODE["mcp_call"]
)


@dataclass
class Written:
    """The code behind an answer, in its parts.

    Attributes:
        cell: all of it.
        as_function: the same as a function `answer` and its call.
        parameters: of `answer`: the names of the data.
        steps: where each statement came from.
        statements: how many there are, those that several agents ran alike counted once.
        recorded: how many completions it holds the answers of.
        with_data: how many of these had data in their prompts that cannot be seen in the code.
        characters: of the code, without recorded answers.
        reads_data: whether it reads its data at all.
        unbound: names that it reads and that nothing binds.
        root: the slice of the root agent.
        looks: functions of a first look that it calls.
    """

    cell: AnswerCell
    as_function: AnswerCell
    parameters: tuple[str, ...]
    steps: list[Step]
    statements: int
    recorded: int
    with_data: int
    characters: int
    reads_data: bool
    unbound: tuple[str, ...] = ()
    root: AgentSlice | None = None
    looks: frozenset[str] = frozenset()


@dataclass
class _Agent:
    """An agent's function before it is written."""

    slice: AgentSlice
    targets: list[Target]
    body: list[ast.stmt] = field(default_factory=list)
    imports: list[tuple[str, str]] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)


class Writer:
    """Writes the code behind the answer of a run.

    Args:
        history: of the run.
        tools: name of a tool → its source; a reason in place of it, where it begins with `# `.
        whole: keep all code that ran.
        short: name to source of functions of a first look, for the data of the run.
    """

    def __init__(
        self,
        history: RunHistory,
        tools: Mapping[str, str],
        *,
        whole: bool = False,
        short: Mapping[str, str] | None = None,
    ) -> None:
        self.history, self.tools, self.whole, self._short = history, tools, whole, short or {}
        self._identifiers = {"answer", *history.names}
        for agent in history.agents.values():
            for cell in agent.cells:
                self._identifiers |= set(re.findall(r"[^\W\d]\w*", cell.code))
        self.names = Names(self._pick)
        self._functions: dict[tuple[str, int], tuple[str, list[str]]] = {}
        self._texts: list[str] = []
        self._functions_shared: dict[str, str] = {}
        self._imports: dict[str, str] = {}
        self._stars: list[str] = []
        self._used_tools: set[str] = set()
        self._looks: set[str] = set()
        self._completions: list[Completion] = []
        self._steps: list[Step] = []
        self._origins: list[Origin] = []
        self._newest: list[Origin] = []
        self._unbound: set[str] = set()
        self._distinct: set[str] = set()
        self._fails = False

    def _pick(self, name: str) -> str:
        while name in self._identifiers:
            name += "_"
        return name

    def write(self) -> Written:
        """Returns the code.

        Raises:
            NoCodeError: there is none, with the reason.
        """
        root = self.history.agents.get(self.history.root)
        if root is None:
            raise NoCodeError("The run has no agent.")
        if self.history.all_characters > _MOST_CODE:
            raise NoCodeError(f"Its agents ran more than {_MOST_CODE:,} characters of code.")
        if not all(name.isidentifier() and not keyword.iskeyword(name) for name in self.history.names):
            raise NoCodeError("The names of its data are no names of variables.")
        data = self.history.names if root.has_data else ()
        parameters = data or (("context",) if root.has_data else ())
        sliced = self._slice(root, data)
        body = self._function("answer", parameters, sliced, data)
        self._stand_in("answer")
        tools = list(
            dict.fromkeys(self._tool(name) for name in sorted(self._used_tools))
        )  # several may be of one module
        own = "\n".join(self._import_lines())
        looks = self._look_functions()
        table = self._recorded()
        helpers = needed_helpers(self.names)
        for name in self.names.used:
            self._imports |= {line: line for line in IMPORTS.get(name, ())}
        head = ["\n".join(self._import_lines())]
        rest = [*self._functions_shared.values(), *referenced(self._texts, body), body]
        parts = [part for part in [*head, *helpers, table, *looks, *tools, *rest] if part]
        whole = as_function(parts, parameters)
        plain = None if sliced.dynamic else plain_cell(parts, parameters)
        cell = plain or whole
        kept = [own, *tools, *(rest if plain is None else rest[:-1]), cell.statements]
        given = {*parameters, "context", root.read_into} if root.has_data else set()
        places = places_of(cell.source, self._origins)
        return Written(
            cell=cell,
            as_function=whole,
            parameters=parameters,
            steps=[replace(step, places=found) for step, found in zip(self._steps, places, strict=True)],
            statements=len(self._distinct),
            recorded=sum(not one.by_user for one in self._completions),
            with_data=sum(one.with_data for one in self._completions),
            characters=sum(map(len, kept)),
            reads_data=bool(given & sliced.used),
            unbound=tuple(sorted(self._unbound)),
            root=sliced,
            looks=frozenset(self._looks),
        )

    def _tool(self, name: str) -> str:
        """Returns the source of a tool, its imports moved to the top."""
        tree = parsed(self.tools[name])
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._imports[ast.unparse(node)] = ast.unparse(node)
        return ast.unparse(
            ast.Module([one for one in tree.body if not isinstance(one, (ast.Import, ast.ImportFrom))], [])
        )

    # ---- one agent

    def _slice(self, agent: AgentHistory, data: tuple[str, ...]) -> AgentSlice:
        if agent.error is not None and agent.last is None:
            raise NoCodeError(f"Agent `{agent.id}` gave no answer: {agent.error}")
        sliced = slice_agent(agent, data, whole=self.whole)
        for name in sorted(sliced.reads):
            if name in _NOT_CODE and name not in sliced.facts.bound:
                raise NoCodeError(f"Agent `{agent.id}` rests on {_NOT_CODE[name]}.")
        called = {name for cell in sliced.cells for name in cell.called if "." in name}
        if called and any(name.partition(".")[0] in sliced.reads for name in called):
            raise NoCodeError(f"Agent `{agent.id}` rests on {_NOT_CODE['mcp_call']}.")
        return sliced

    def _sub_agent(self, agent_id: str) -> Target:
        """Write the function of a sub-agent, unless there is one that does the same; return how it is called."""
        agent = self.history.agents[agent_id]
        handed = tuple(name for name in agent.tools if name not in self.tools)
        if agent.error is not None:
            self._fails = True
            reason = f"Sub-agent `{agent_id}` gave no answer: {agent.error}"
            text = f"(context):\n    raise {self.names('QueryFailed')}({reason!r})"
        else:
            sliced = self._slice(agent, ())
            takes = [name for name in handed if name in sliced.reads]
            marker = "sub_agent"
            body = self._function(marker, ("context",), sliced, (), handed=tuple(takes))
            text = body.removeprefix(f"def {marker}")
            handed = tuple(takes)
        own = [] if agent.error is not None else self._newest
        key = (alike_key(text), len(own))
        if key not in self._functions:
            name = self._pick(f"sub_agent_{len(self._functions) + 1}")
            self._functions[key] = name, [origin.text for origin in own]
            self._texts.append(f"def {name}{text}")
        name, texts = self._functions[key]
        for origin, written in zip(own, texts, strict=True):
            origin.text = written
        if agent.error is None:
            self._stand_in(name)
        return Target(agent.question, name, bool(handed))

    def _function(
        self,
        name: str,
        parameters: tuple[str, ...],
        sliced: AgentSlice,
        data: tuple[str, ...],
        *,
        handed: tuple[str, ...] = (),
    ) -> str:
        """Returns the text of the function that an agent's slice becomes."""
        children = [child for cell in sliced.cells for child in cell.children] if self._asks(sliced) else []
        targets = [self._sub_agent(child) for child in children]
        completions = [one for cell in sliced.cells for one in cell.completions]
        self._completions += completions
        self._fails |= any(one.error is not None for one in completions)
        agent = _Agent(sliced, targets)
        rewriter = Rewriter(sliced.facts, self.names, targets, fails=self._fails)
        rewriter.leaf = any(one.fallback for one in completions)
        for unit in sliced.units:
            self._distinct.add(ast.unparse(unit.node))
            awaits = unit.cell.number in sliced.awaits
            agent.body.append(rewriter.rewrite(copy.deepcopy(unit.node), awaits=awaits))
        returned = self._returned(sliced, rewriter)
        called = name == "answer" and len(data) == 1 and data != ("context",) and not sliced.dynamic
        by_name = called and renamed_data([*agent.body, ast.Expr(returned)], data[0])
        begin = [*self._begin(sliced, data, handed, by_name=by_name), *self._free(sliced, data, handed)]
        if sliced.dynamic:
            self._note(agent, returned)
            return self._namespace(name, parameters, agent, begin, returned, rewriter, handed)
        returned = self._simplify(agent, returned)
        self._hoist(agent, parameters)
        lines = [*begin, *self._shadows(agent, parameters), *self._dispatch(targets, rewriter)]
        body = "\n".join([*lines, ast.unparse(ast.Module([*agent.body, ast.Return(returned)], []))])
        given = ", ".join([*parameters, *(["tools"] if handed else [])])
        if sliced.awaits:
            run = self.names("in_own_loop")
            body = f"async def work({given}):\n{indent(body)}\nreturn {run}(work({given}))"
        if name == "answer" and "recorded_answer" in self.names.used:
            body = f"ASKED.clear()\n{body}"
        return f"def {name}({given}):\n{indent(body)}"

    def _simplify(self, agent: _Agent, returned: ast.expr) -> ast.expr:
        """Make the statements of an agent's function simpler, and note where each is; return what it returns."""
        sliced = agent.slice
        made = Simplifier(sliced.facts, [*agent.body, ast.Return(returned)]).simplified()
        *agent.body, final = made.body
        assert isinstance(final, ast.Return) and final.value is not None  # noqa: PT018 - the last one stays
        became = made.became if sliced.final is not None else made.became[:-1]
        self._note_all(sliced, ["" if node is None else ast.unparse(node) for node in became])
        return final.value

    def _note(self, agent: _Agent, returned: ast.expr) -> None:
        """Note the statements of an agent that run in a namespace: as those of a module, the answer as one more."""
        statements = [without_nonlocal(copy.deepcopy(node)) for node in agent.body]
        if agent.slice.final is not None:
            result = ast.Name(self.names("final_value"), ast.Store())
            statements.append(ast.Assign([result], returned, lineno=0))
        self._note_all(agent.slice, [ast.unparse(node) for node in statements])

    def _note_all(self, sliced: AgentSlice, texts: list[str]) -> None:
        self._newest = [Origin(sliced.history.id, text) for text in texts]
        self._steps += steps_of(sliced)

    def _stand_in(self, function: str) -> None:
        """Note in which function the statements stand that were written last."""
        for origin in self._newest:
            origin.function = function
        self._origins += self._newest

    def _asks(self, sliced: AgentSlice) -> bool:
        return bool(sliced.used & words.WORDS) or sliced.dynamic

    def _begin(
        self, sliced: AgentSlice, data: tuple[str, ...], handed: tuple[str, ...], *, by_name: bool
    ) -> list[str]:
        """Returns the lines that bind what the agent's kernel had from the start; with `by_name` no `context`."""
        used = sliced.reads | sliced.used
        if "classify" in used - sliced.facts.bound:
            self.names("recorded_answer")
        if by_name and "context" in used:
            used = {*used - {"context"}, *data}
        lines = [*self._begin_data(sliced, data, used), *self._read_files(sliced, data, used)]
        if "question" in sliced.reads and "question" not in sliced.facts.bound | set(data):
            lines.append(f"question = {sliced.history.question!r}")
        if "answer" in used and "answer" not in sliced.facts.bound and "answer" not in data:
            lines.append('answer = {"content": "", "ready": False}')
        if sliced.appended:
            lines.append(f"{self.names('answers')} = []")
        if handed:
            lines.append("named = {tool.__name__: tool for tool in tools}")
            lines += [f"{name} = named[{name!r}]" for name in handed]
        return lines

    def _begin_data(self, sliced: AgentSlice, data: tuple[str, ...], used: set[str]) -> list[str]:
        """Returns the lines that bind the data: as a copy where it is changed, and as `context`."""
        lines: list[str] = []
        history = sliced.history
        for name in data or ("context",):
            changed = sliced.changes & {name, "context"} and (name in used or "context" in used)
            if history.has_data and changed:
                lines.append(f"{name} = copy.deepcopy({name})")
                self._imports["copy"] = "import copy"
        if history.id != self.history.root or not ("context" in used or sliced.dynamic):
            return lines
        if not history.has_data:
            lines.append(f"context = {history.question!r}")
        elif len(data) == 1 and data != ("context",):
            lines.append(f"context = {data[0]}")
        elif len(data) > 1:
            lines.append(assigned_dict("context = ", data))
        return lines

    def _read_files(self, sliced: AgentSlice, data: tuple[str, ...], used: set[str]) -> list[str]:
        """Returns the line that reads small files into the variable in which the agent had them from the start."""
        variable = sliced.history.read_into
        if variable is None or variable not in used or variable in data:
            return []
        read = self.names("read_files")
        return [
            assigned_dict(f"{variable} = {read}(", data) + ")"
            if len(data) > 1
            else f"{variable} = {read}({(data or ('context',))[0]})"
        ]

    def _returned(self, sliced: AgentSlice, rewriter: Rewriter) -> ast.expr:
        if sliced.returns is None:
            last = ast.Subscript(
                ast.Name(self.names("answers"), ast.Load()),
                ast.UnaryOp(ast.USub(), ast.Constant(1)),
                ast.Load(),
            )
            return ast.fix_missing_locations(last)
        if isinstance(sliced.returns, ast.Name) and sliced.returns.id == "FINAL":
            return ast.Name(self.names("final_value"), ast.Load())
        final = sliced.history.last
        awaits = final is not None and final.number in sliced.awaits
        node = rewriter.rewrite(ast.Expr(copy.deepcopy(sliced.returns)), awaits=awaits)
        assert isinstance(node, ast.Expr)
        return node.value

    def _free(self, sliced: AgentSlice, data: tuple[str, ...], handed: tuple[str, ...]) -> list[str]:
        """Find what the agent reads and does not bind: tools, what its kernel imported for it, helpers of a look.

        Returns:
            Imports that must stand in the agent's function.
        """
        local: list[str] = []
        # An annotation may name what is nowhere, and code that hides what it does may bind anything.
        hidden = sliced.dynamic or any(is_future(unit.node) for unit in sliced.units)
        known = {
            "context",
            "question",
            "answer",
            "cite",
            "FINAL",
            *data,
            *handed,
            *words.WORDS,
            *words.FINALS,
        }
        known |= {sliced.history.read_into} if sliced.history.read_into else set()
        known |= {"Failed", "RLMQueryError", "FinalRejected", "__name__", "__builtins__", *words.SHOWING}
        for name in sorted(sliced.reads - known):
            if name.startswith("<") or name in words.BUILTINS:
                continue
            if name in self.tools:
                if self.tools[name].startswith("# "):
                    raise NoCodeError(f"The tool `{name}` has no source: {self.tools[name][2:]}")
                self._used_tools.add(name)
            elif name in words.LOOKS and name not in sliced.facts.bound:
                self._looks.add(name)
            elif any(is_star(unit.node) for unit in sliced.units):
                continue  # the code itself binds it, in a way that cannot be seen
            elif (statement := missing_import(name, sliced)) is not None:
                if self._imports.setdefault(name, statement) != statement:
                    local.append(statement)
            elif name not in sliced.facts.bound and not hidden:
                self._unbound.add(name)
        return local

    def _hoist(self, agent: _Agent, parameters: tuple[str, ...]) -> None:
        """Move imports to the top, where no other meaning of their names is in the way."""
        others = [node for node in agent.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
        taken = bound_in(others) | set(parameters) | {"answer"} | ambiguous_imports(agent.body)
        kept: list[ast.stmt] = []
        for node in agent.body:
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                kept.append(node)
                continue
            if is_future(node):
                self._stars.append(ast.unparse(node))
                continue
            if "*" in import_names(node):
                self._stars.append(ast.unparse(node))
                continue
            rest = [alias for alias in node.names if not self._hoisted(node, alias, taken)]
            if rest:
                node.names = rest
                kept.append(node)
        binders = Counter(name for node in kept for name in bound_in([node]))
        agent.body = [node for node in kept if not self._shared(node, binders, parameters)]
        agent.bound = bound_in(agent.body)

    def _shared(self, node: ast.stmt, binders: Counter[str], parameters: tuple[str, ...]) -> bool:
        """Put a function that uses nothing of the agent's in front of all, once; return whether it stands there.

        Args:
            node: a statement of the agent.
            binders: how many of the agent's statements bind a name, without those that stand in front already.
            parameters: of the agent's function.
        """
        if not isinstance(node, ast.FunctionDef) or node.decorator_list or binders[node.name] != 1:
            return False
        taken = node.name in words.BUILTINS or node.name in self._imports or node.name in self.tools
        if taken or node.name in parameters or node.name in {"answer", *self.history.names}:
            return False
        outside = {name for part in evaluated(node) for name in loads([part])} | free_names(node)
        for name in outside - {node.name}:
            known = name in words.BUILTINS or name in self._imports or name in self._functions_shared
            if not known or binders[name] or name in parameters:
                return False
        text = ast.unparse(node)
        if self._functions_shared.setdefault(node.name, text) != text:
            return False
        del binders[node.name]
        return True

    def _hoisted(self, node: ast.Import | ast.ImportFrom, alias: ast.alias, taken: set[str]) -> bool:
        one = copy.copy(node)
        one.names = [alias]
        name, text = next(iter(import_names(one))), ast.unparse(one)
        return name not in taken and self._imports.setdefault(name, text) == text

    def _shadows(self, agent: _Agent, parameters: tuple[str, ...]) -> list[str]:
        """Returns the lines that let a variable with the name of a builtin be that builtin until it is bound."""
        read = {name for node in agent.body for name in loads([node])}
        shadowed = sorted(agent.bound & read & words.BUILTINS)
        if shadowed:
            self._imports["builtins"] = "import builtins"
        outer = {
            name
            for node in agent.body
            for one in ast.walk(node)
            if isinstance(one, ast.Nonlocal)
            for name in one.names
        }
        unset = sorted(outer - agent.bound - {*parameters, "context"})
        return [f"{name} = builtins.{name}" for name in shadowed] + [f"{name} = None" for name in unset]

    def _dispatch(self, targets: list[Target], rewriter: Rewriter) -> list[str]:
        """Returns the function that finds the sub-agent of a question, where only running the code tells which."""
        if not rewriter.dispatches:
            return []
        by_question: dict[str, list[Target]] = {}
        for target in targets:
            by_question.setdefault(target.question, []).append(target)
        ask = self.names("ask")
        rows = []
        for question, asked in by_question.items():
            functions = [target.function for target in asked]
            functions = functions[:1] if len(set(functions)) == 1 else functions
            rows.append(f"    {question!r}: [{', '.join(functions)}],")
        handed = any(target.tools for target in targets)
        call = "(question if context is None else context)"
        if handed:
            raise NoCodeError(
                "Functions that an agent handed to one of several sub-agents cannot be followed."
            )
        return [
            "sub_agents = {",
            *rows,
            "}",
            f"def {ask}(question, context=None, tools=()):",
            "    found = sub_agents[question]",
            f"    return (found.pop(0) if len(found) > 1 else found[0]){call}",
        ]

    def _namespace(
        self,
        name: str,
        parameters: tuple[str, ...],
        agent: _Agent,
        begin: list[str],
        returned: ast.expr,
        rewriter: Rewriter,
        handed: tuple[str, ...],
    ) -> str:
        """Returns a function that runs the statements in a namespace of their own, as the agent's kernel did."""
        body = [without_nonlocal(node) for node in agent.body if not is_future(node)]
        text = ast.unparse(ast.Module(body, []))
        dispatch = self._dispatch(agent.targets, rewriter)
        result = self.names("final_value")
        if agent.slice.awaits:
            raise NoCodeError(
                "Cells that await and hide what they do (`exec`, `globals()`) cannot be sliced."
            )
        code = "\n".join([*begin, *dispatch, text, f"{result} = {ast.unparse(returned)}"])
        own = [*parameters, *(["tools"] if handed else [])]
        given = ", ".join(f"{one!r}: {one}" for one in own)
        reset = "    ASKED.clear()\n" if name == "answer" and "recorded_answer" in self.names.used else ""
        return (
            f"def {name}({', '.join(own)}):\n{reset}    space = {{**globals(), {given}}}\n"
            f"    exec({literal(code)}, space)\n    return space[{result!r}]"
        )

    # ---- what stands before the functions

    def _recorded(self) -> str:
        """Returns the table of recorded answers: prompt → answers, in the order in which they were given."""
        if "recorded_answer" not in self.names.used:
            self._completions = []
            return ""
        return recorded_table(self._completions, self.names)

    def _look_functions(self) -> list[str]:
        """Returns the source of the functions that a first look binds, as far as the code calls them."""
        ask = f"{self.names.pick('recorded_answer')}(prompt)"
        if "attempt" in self.names.used or self._fails:
            ask = f"{self.names('attempt')}({self.names.pick('recorded_answer')}, prompt)"
        made = look_source(self._looks, ask, self._imports, self._short)
        self._imports |= made.imports
        return made.parts

    def _import_lines(self) -> list[str]:
        found = {*self._imports.values(), *self._stars}
        future = {line for line in found if line.startswith("from __future__")}
        plain = {line for line in found if line.startswith("import ")}
        return [*sorted(future), *sorted(plain), *sorted(found - future - plain)]
