"""What is mended in code before it runs: prompts of a console before its lines, `return FINAL(x)`, a name in two words.

Python refuses both, and what is meant is certain.
"""

from __future__ import annotations

import ast
import keyword
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlm_jupyter.engine.reply.python_syntax import SyntaxChecker

LANGUAGE_LINE = re.compile(
    r"(?:[ \t]*\r?\n)*[ \t]*(repl|python3?|py|ipython3?)[ \t]*:?[ \t]*\r?\n(?=[ \t\r\n]*[^\s`])",
    re.IGNORECASE,
)
"""A first line that only names the language, in a block that goes on."""
_PROMPTED = re.compile(r"\s*(?:>>>(?:[ \t]|\r?$)|In ?\[\d{1,4}\]:)", re.MULTILINE)
_PROMPT = re.compile(r"[ \t]*(?:>>>|In ?\[\d{1,4}\]:)(?: |\r?$)")
_MORE = re.compile(r"[ \t]*\.{3,}:?(?: |\r?$)")
_RETURN = re.compile(
    r"^[ \t]*(?:[^\s#][^\n#]*[:;][ \t]*)?return[ \t]+(?:await[ \t]+)?(?:FINAL(?:_VAR)?|SUBMIT)\b",
    re.MULTILINE,
)
_ANSWERS = frozenset({"FINAL", "FINAL_VAR", "SUBMIT"})
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_TWO_WORDS = re.compile(r"^([ \t]*)([^\W\d]\w{0,60}) (\w{1,60})(?=[ \t]*=(?!=))", re.MULTILINE)
_PROMPTS_NOTE = "The prompts in front of its lines were taken off, and the outputs between them."
_RETURN_NOTE = "There is no `return` outside of a function: FINAL was called, and the code ended there."


def mend_code(code: str, checker: SyntaxChecker) -> tuple[str, str]:
    """Returns code as it is to be run, and what was mended in it, "" for nothing."""
    notes = []
    if _PROMPTED.match(code) and (plain := without_prompts(code, checker)) is not None:
        code = plain
        notes.append(_PROMPTS_NOTE)
    if _RETURN.search(code) and (plain := _without_returns(code, checker)) is not None:
        code = plain
        notes.append(_RETURN_NOTE)
    if _TWO_WORDS.search(code) and (joined := _with_joined_names(code, checker)) is not None:
        code, note = joined
        notes.append(note)
    return code, " ".join(notes)


def without_prompts(code: str, checker: SyntaxChecker) -> str | None:
    """Take off the prompts of a console, and drop the outputs between; None where the rest is not Python.

    Args:
        code: its first line has a prompt.
        checker: asks the parser.
    """
    if not _PROMPTED.match(code):
        return None
    lines = code.split("\n")
    prompts = [(line, _PROMPT.match(line) or _MORE.match(line)) for line in lines]
    plain = "\n".join(line[prompt.end() :] for line, prompt in prompts if prompt)
    return plain if checker.parses(plain) else None


def _without_returns(code: str, checker: SyntaxChecker) -> str | None:
    """Put `FINAL(x)` for `return FINAL(x)` outside of functions; where code follows, the cell ends there."""
    tree = checker.tree(code)
    if tree is None:
        return None
    last = tree.body[-1]
    lines = code.encode().split(b"\n")  # the parser counts bytes
    returns = _returns(tree)
    for node in sorted(returns, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        assert node.value is not None
        end_line, end = (node.value.end_lineno or 0) - 1, node.value.end_col_offset or 0
        if node is not last:
            lines[end_line] = lines[end_line][:end] + b"; raise SystemExit" + lines[end_line][end:]
        if node.value.lineno != node.lineno:
            return None
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line[: node.col_offset] + line[node.value.col_offset :]
    plain = b"\n".join(lines).decode()
    return plain if returns and checker.parses(plain) else None


def _with_joined_names(code: str, checker: SyntaxChecker) -> tuple[str, str] | None:
    """Put `a_b = ...` for `a b = ...` where code uses `a_b`, as a small model means it; None where that is not Python.

    Returns:
        The code, and what is said of it.
    """
    words = set(re.findall(r"\w+", code))
    notes: list[str] = []

    def join(found: re.Match[str]) -> str:
        space, first, second = found.groups()
        name = f"{first}_{second}"
        if name not in words or keyword.iskeyword(first):
            return found[0]
        notes.append(f"`{first} {second}` is no name: it was read as `{name}`.")
        return f"{space}{name}"

    joined = _TWO_WORDS.sub(join, code)
    return (joined, notes[0]) if notes and checker.parses(joined) and not checker.parses(code) else None


def _returns(tree: ast.Module) -> list[ast.Return]:
    """Find `return FINAL(...)` that no function holds."""
    found = []
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Return) and _is_answer(node.value):
            found.append(node)
        nodes += [child for child in ast.iter_child_nodes(node) if not isinstance(child, _SCOPES)]
    return found


def _is_answer(node: ast.expr | None) -> bool:
    value = node.value if isinstance(node, ast.Await) else node
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in _ANSWERS
