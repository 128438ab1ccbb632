"""Whether a piece of text is Python (or IPython), asked without running or warning.

`SyntaxChecker` answers by the parser; `lexemes` tells, in one pass, where in a text fence lines stand that
are neither in a string nor in a comment. Both are bounded, so that no reply can keep the engine busy.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from rlm_jupyter.engine.reply.ipython_lines import as_python
from rlm_jupyter.engine.reply.thinking import CLOSER, TEMPLATE_MARK
from rlm_jupyter.text.syntax_trees import syntax_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BITS = 14_000
"""Of a whole number in code; of about 4,300 digits on, `str` and `ast.unparse` refuse it."""
_ESCAPE = re.compile(r"\\(N\{[^}\n]{0,200}\}|.)", re.DOTALL)

LEXEME = re.compile(
    rf"""
      (?P<fence>^[ \t]*(?:`{{3,}}|~{{3,}})[^\n]*$)
    | (?P<tag>^[ \t]*</code>?[ \t]*\r?$|(?=[<\[◁])(?:(?:{CLOSER})[ \t]*\r?$|{TEMPLATE_MARK}))
    | (?P<string>\"\"\"(?:[^"\\]++|\\.|"(?!""))*+\"\"\"
        | '''(?:[^'\\]++|\\.|'(?!''))*+'''
        | (?!\"\"\"|''')(?:"(?:[^"\\\n]++|\\.)*+"?|'(?:[^'\\\n]++|\\.)*+'?))
    | (?P<unclosed>\"\"\"|''')
    | (?P<comment>\#[^\n]*)
    | (?P<glued>(?<!`)`{{3,}}+(?=[ \t]*\r?$))
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE | re.IGNORECASE,
)
"""The lexemes of Python that can hide a fence, and the fences that stand outside of them."""


def parsed(code: str) -> ast.Module | None:
    """Returns the syntax tree of code that was run; None if it is not plain Python, as IPython's own syntax is not.

    There is none either of code with a whole number, such as `0xff...`, that Python makes no text of: who reads a tree
    may write a part of it.
    """
    try:
        tree = syntax_tree(code, "<reply>")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return None if any(map(_is_huge, ast.walk(tree))) else tree


def _is_huge(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value.bit_length() > _MOST_BITS


def source_of(node: ast.AST) -> str:
    """Returns the Python of a part of a tree; empty if it is nested too deeply to be written."""
    try:
        return ast.unparse(node)
    except RecursionError:  # `ast.unparse` nests deeper than the parser, which took it
        return ""


def does_something(tree: ast.Module) -> bool:
    """Returns whether there is a call, an assignment, an import or a definition in it."""
    return any(isinstance(node, _EFFECTS) for node in ast.walk(tree))


def lexemes(text: str, start: int) -> Iterator[re.Match[str]]:
    """Yields fences, tags, comments and glued backticks from `start` on that are not inside of a string.

    Ends where a triple-quoted string begins that is never closed; that match is the last one.
    """
    for match in LEXEME.finditer(text, start):
        if match.lastgroup == "string":
            continue
        yield match
        if match.lastgroup == "unclosed":
            return


class SyntaxChecker:
    """Asks the parser whether texts are Python, within a budget of attempts and characters.

    Args:
        attempts: most questions; beyond them every text counts as no Python.
        chars: characters of all questions together.
    """

    def __init__(self, attempts: int = 2000, chars: int = 500_000) -> None:
        self._attempts = attempts
        self._chars = chars
        self.error: str | None = None

    def tree(self, code: str, *, certain: bool = False) -> ast.Module | None:
        """Parse `code`; None if it is not Python, the reason then being in `error`.

        Top-level `await` and `yield` are allowed: it is the compiler that refuses them, not the parser. Lines
        of IPython (`%time x`, `!ls`, `df?`, `x = !ls`) count as calls; a cell magic is always fine.

        Args:
            code: perhaps.
            certain: whether only those lines of IPython count that can be nothing else: nothing says that it is code.
        """
        if self._attempts <= 0 or self._chars < len(code):
            self.error = "it is too long to be checked"
            return None
        self._attempts -= 1
        self._chars -= len(code)
        tree = self._parse(code)
        if tree is None and ("%" in code or "!" in code or "?" in code):
            reason = self.error
            tree = self._parse(as_python(code, certain=certain))
            self.error = reason if tree is None else None
        return tree

    def parses(self, code: str) -> bool:
        """Returns whether `code` is Python with at least one character that is not blank."""
        return bool(code.strip()) and self.tree(code) is not None

    def does_something(self, code: str, *, certain: bool = False) -> bool:
        """Returns whether `code` is Python with a call, an assignment, an import or a definition in it; see `tree`."""
        tree = self.tree(code, certain=certain) if code.strip() else None
        return tree is not None and does_something(tree)

    def _parse(self, code: str) -> ast.Module | None:
        # An invalid escape such as "\d" makes the parser warn, which would reach the user's notebook, and
        # silencing it would change the warning filters of all threads: the escapes are made harmless
        # instead. A dollar is as illegal outside of strings as the backslash was.
        plain = _ESCAPE.sub(_without_escape, code) if "\\" in code else code
        try:
            tree = syntax_tree(plain, "<reply>")
        except SyntaxError as error:
            self.error = f"{error.msg}, line {error.lineno}" if error.lineno else error.msg
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            self.error = str(error) or type(error).__name__
        else:
            self.error = None
            return tree
        return None


_EFFECTS = (
    ast.Call, ast.Assign, ast.AugAssign, ast.NamedExpr, ast.Import, ast.ImportFrom, ast.FunctionDef,
    ast.AsyncFunctionDef, ast.ClassDef, ast.Delete,
)  # fmt: skip


def _without_escape(match: re.Match[str]) -> str:
    char = match[1]
    return match[0] if char in "\\'\"\r\n" else "$" * len(match[0])
