"""Statements of agents without the words that only agents have: each is replaced by plain Python that does the same."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field

from rlm_jupyter.answer_code import vocabulary as words
from rlm_jupyter.answer_code.effects import Scan
from rlm_jupyter.answer_code.facts import Facts
from rlm_jupyter.answer_code.slicing import given_to_final

_BATCHES = ("llm_query_batched", "llm_query_batch", "llm_batch")
_FUNCTIONS = {
    "llm_query": "recorded_answer",
    "rlm_query": "ask",
    "ask_user": "recorded_choice",
    "cite": "cited",
}
_FAILURES = {"RLMQueryError": "QueryFailed", "FinalRejected": "QueryFailed"}


@dataclass(frozen=True)
class Target:
    """A sub-agent that was asked, as a function.

    Attributes:
        question: verbatim.
        function: its name.
        tools: whether it takes functions that its parent hands down.
    """

    question: str
    function: str
    tools: bool = False


@dataclass
class Names:
    """Names of helpers that the code needs, none of which any agent uses itself.

    Attributes:
        used: those that were put into the code.
    """

    pick: Callable[[str], str]
    used: set[str] = field(default_factory=set)

    def __call__(self, name: str) -> str:
        """Returns a name for a helper, and take note that it is used."""
        self.used.add(name)
        return self.pick(name)


class Rewriter(ast.NodeTransformer):
    """Rewrites the statements of one agent.

    Args:
        facts: of the agent.
        names: of helpers.
        targets: the sub-agents that its kept cells asked, in their order.
        fails: whether a sub-agent or a completion failed.

    Attributes:
        leaf: whether a plain completion was asked in the place of sub-agents.
        dispatches: whether a question leads to one of several sub-agents, which only running the code tells.
    """

    def __init__(self, facts: Facts, names: Names, targets: list[Target], *, fails: bool) -> None:
        self.facts, self.names, self.targets, self.fails = facts, names, targets, fails
        self.awaits = self.leaf = False
        self.dispatches = False

    def rewrite(self, node: ast.stmt, *, awaits: bool) -> ast.stmt:
        """Returns one statement, rewritten; the one given is changed."""
        self.awaits = awaits
        made = self.visit(node)
        assert isinstance(made, ast.stmt)
        return ast.fix_missing_locations(made)

    # ---- scopes: who awaits

    def _in_scope(self, node: ast.AST, *, awaits: bool) -> ast.AST:
        before, self.awaits = self.awaits, awaits
        self.generic_visit(node)
        self.awaits = before
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Rewrite a function that blocks."""
        return self._body(self._in_scope(node, awaits=False))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """Rewrite a function that awaits."""
        return self._body(self._in_scope(node, awaits=True))

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """Rewrite a function that blocks."""
        return self._in_scope(node, awaits=False)

    def _block(self, node: ast.AST) -> ast.AST:
        return self._body(self.generic_visit(node))

    visit_For = visit_While = visit_If = visit_With = visit_Try = visit_AsyncFor = visit_AsyncWith = _block  # noqa: N815

    def _body(self, node: ast.AST) -> ast.AST:
        """Leave out of a block what only shows something."""
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list) and body:
                kept = [one for one in body if not self._shows(one)]
                setattr(node, name, kept or ([ast.Pass()] if name == "body" else []))
        return node

    def _shows(self, node: ast.stmt) -> bool:
        value = node.value if isinstance(node, ast.Expr) else None
        if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name)):
            return False
        if value.func.id not in words.SHOWING or value.func.id in self.facts.bound or self.facts.redirected:
            return False
        if any(isinstance(one, (ast.Await, ast.NamedExpr, ast.Yield)) for one in ast.walk(node)):
            return False
        inner = [one.func for one in ast.walk(value) if isinstance(one, ast.Call) and one is not value]
        harmless = words.BUILTINS | words.SHOWING
        known = all(not isinstance(one, ast.Name) or one.id in harmless for one in inner)
        return known and not Scan.of(node, self.facts).changes

    def visit_Global(self, node: ast.Global) -> ast.AST:
        """Top-level variables are those of the function that the code becomes."""
        return ast.Nonlocal(node.names)

    # ---- words

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Replace a word that is passed on as a function."""
        name = node.id
        if name in self.facts.bound:
            return ast.Name(self.names("final_value"), node.ctx) if name == "FINAL" else node
        if name in _FAILURES:
            return ast.Name(self.names(_FAILURES[name]), node.ctx)
        if name == "Failed":
            self.names("QueryFailed")
            return ast.Name(self.names("Failed"), node.ctx)
        if name in _FUNCTIONS and isinstance(node.ctx, ast.Load):
            if name == "rlm_query" and self.leaf:
                name = "llm_query"
            self.dispatches |= name == "rlm_query"
            if name == "ask_user":
                self.names("recorded_answer")
            return ast.Name(self.names(_FUNCTIONS[name]), ast.Load())
        return node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        """A word that is awaited at once blocks here."""
        if self._word(node.value):
            return self._replaced(node.value)  # type: ignore[arg-type]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Replace a call of a word."""
        if not self._word(node):
            return self.generic_visit(node)
        made = self._replaced(node)
        final = isinstance(node.func, ast.Name) and node.func.id in words.FINALS
        return _call(self.names("later"), made) if self.awaits and not final else made

    def _word(self, node: ast.AST) -> bool:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            return False
        return node.func.id in words.WORDS | words.FINALS and node.func.id not in self.facts.bound

    def _replaced(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name in words.FINALS:
            given = self.visit(given_to_final(node, self.facts))
            return _call(
                ast.Attribute(ast.Name(self.names("answers"), ast.Load()), "append", ast.Load()), given
            )
        awaits, self.awaits = self.awaits, self.awaits and name != "batch_llm_query"
        node.args = [self.visit(one) for one in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        self.awaits = awaits
        if name == "ask_user":
            self.names("recorded_answer")
            return ast.Call(ast.Name(self.names("recorded_choice"), ast.Load()), node.args, node.keywords)
        return self._plain(name, node)

    def _plain(self, name: str, node: ast.Call) -> ast.expr:
        arguments = _Arguments(node)
        if name in _BATCHES:
            prompts = arguments.take(0, "prompts")
            return self._each(self.names("recorded_answer"), prompts, None)
        if name == "rlm_query_batched":
            questions, contexts = arguments.take(0, "prompts"), arguments.take(1, "contexts")
            return self._ask_each(questions, contexts, arguments.named("tools"))
        if name == "batch_llm_query":
            whole = len(node.args) == 1
            return _call("list", *node.args) if whole else ast.List(node.args, ast.Load())
        prompt = arguments.take(0, "prompt")
        if name == "rlm_query":
            return self._ask(prompt, arguments.take(1, "context"), arguments.named("tools"))
        instruction = arguments.named("instruction")
        if instruction is not None:
            return self._ask(instruction, prompt, arguments.named("tools"))
        return _call(self.names("recorded_answer"), prompt)

    # ---- sub-agents

    def _ask(self, question: ast.expr, context: ast.expr | None, tools: ast.expr | None) -> ast.expr:
        if self.leaf:
            return _call(self.names("recorded_answer"), question)
        target = self._target(question)
        if target is None:
            self.dispatches = True
            given = [question, *([context] if context is not None else [])]
            return _call(self.names("ask"), *given, tools=tools)
        data = question if context is None or _is_none(context) else context
        return _call(target.function, data, tools=tools if target.tools else None)

    def _target(self, question: ast.expr | None) -> Target | None:
        """Returns the function that a question leads to, where that can be told from the text."""
        targets = self.targets
        if isinstance(question, ast.Constant):
            targets = [target for target in targets if target.question == question.value]
        return targets[0] if len({target.function for target in targets}) == 1 else None

    def _ask_each(self, questions: ast.expr, contexts: ast.expr | None, tools: ast.expr | None) -> ast.expr:
        if self.leaf:
            return self._each(self.names("recorded_answer"), questions, None)
        target = self._target(None)
        if target is not None and contexts is not None and not _is_none(contexts):
            return self._each(target.function, contexts, tools if target.tools else None)
        if target is not None:
            return self._each(target.function, questions, tools if target.tools else None)
        self.dispatches = True
        ask = self.names("ask")
        if contexts is None or _is_none(contexts):
            return self._each(ask, questions, tools)
        pair: list[ast.expr] = [ast.Name("each_question", ast.Store()), ast.Name("each_part", ast.Store())]
        loop = ast.comprehension(ast.Tuple(pair, ast.Store()), _call("zip", questions, contexts), [], 0)
        given: list[ast.expr] = [ast.Name("each_question", ast.Load()), ast.Name("each_part", ast.Load())]
        return ast.ListComp(self._one(ask, given, tools), [loop])

    def _each(self, function: str, items: ast.expr, tools: ast.expr | None) -> ast.expr:
        loop = ast.comprehension(ast.Name("each", ast.Store()), items, [], 0)
        return ast.ListComp(self._one(function, [ast.Name("each", ast.Load())], tools), [loop])

    def _one(self, function: str, given: list[ast.expr], tools: ast.expr | None) -> ast.expr:
        if self.fails:
            return _call(self.names("attempt"), ast.Name(function, ast.Load()), *given, tools=tools)
        return _call(function, *given, tools=tools)


class _Arguments:
    """The arguments of a call of a word, by place or name."""

    def __init__(self, call: ast.Call) -> None:
        self._args = call.args
        self._named = {keyword.arg: keyword.value for keyword in call.keywords}

    def take(self, place: int, name: str) -> ast.expr:
        found = self._args[place] if place < len(self._args) else self._named.get(name)
        return found if found is not None else ast.Constant(None)

    def named(self, name: str) -> ast.expr | None:
        return self._named.get(name)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _call(function: str | ast.expr, *given: ast.expr, tools: ast.expr | None = None) -> ast.Call:
    called = ast.Name(function, ast.Load()) if isinstance(function, str) else function
    keywords = [ast.keyword("tools", _tools(tools))] if tools is not None else []
    return ast.Call(called, list(given), keywords)


def _tools(node: ast.expr) -> ast.expr:
    """Returns what `tools=` names, as functions: a tool's name stands for the tool."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return ast.List([_tools_item(one) for one in node.elts], ast.Load())
    return ast.List([_tools_item(node)], ast.Load()) if isinstance(node, (ast.Constant, ast.Name)) else node


def _tools_item(node: ast.expr) -> ast.expr:
    named = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
    return ast.Name(node.value, ast.Load()) if named else node  # type: ignore[attr-defined]
