"""Puts values in the place of tokens in code, as literals: a value is data and becomes nothing else.

What the code shall mean is computed on its syntax tree. The text is changed in place, so that lines and comments stay,
and the result is parsed again: if it means anything else, the code is written anew from the tree.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final, cast

from rlm_jupyter.text.syntax_trees import syntax_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MARK: Final = "RLM_HIDDEN_{}_VALUE"
_MARKED = re.compile(r"RLM_HIDDEN_(\d+)_VALUE")
_PLAIN = re.compile(r"[A-Za-z0-9 @.,:;_+/=!?()<>*&#|~^-]")
"""What needs no escape in any literal; braces are escaped because of f-strings."""
_PATTERN_FUNCTIONS: Final = frozenset(
    {"compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn"}
)
_PATTERN_METHODS: Final = frozenset(
    {
        "contains",
        "match",
        "fullmatch",
        "count",
        "extract",
        "extractall",
        "findall",
        "str_contains",
        "filter_regex",
    }
)
_REPLACING: Final = frozenset({"replace", "split", "rsplit"})
"""Methods whose text is a pattern with `regex=True` only."""
_PATTERN_KEYWORDS: Final = frozenset({"pattern", "pat", "regex"})
_FAILURES = (SyntaxError, ValueError, RecursionError, MemoryError)


def code_with_values(code: str, tokens: Sequence[tuple[int, int, Any]]) -> str:
    """Returns code with values in the place of tokens.

    Args:
        code: that a model wrote.
        tokens: where they begin and end, and their values.
    """
    if not tokens or _MARKED.search(code):
        return code
    values = [value for _, _, value in tokens]
    marked = _with_marks(code, tokens)
    try:
        tree = syntax_tree(marked, "<reply>")
    except _FAILURES:
        return _escaped(code, tokens)  # IPython's own syntax, or no Python: escaped, a value ends no literal
    rewriting = _Values(values, _patterns(tree))
    wanted = cast("ast.Module", rewriting.visit(tree))
    ast.fix_missing_locations(wanted)
    places = _literal_places(syntax_tree(marked, "<reply>"), marked)
    text = _written(code, tokens, marked, places, rewriting)
    if _same(text, wanted) or _MARKED.search(
        ast.dump(wanted)
    ):  # a token within a name: Python says what is wrong
        return text
    return _unparsed(wanted, rewriting.changed) or _escaped(code, tokens)


def _unparsed(wanted: ast.Module, changed: set[int]) -> str | None:
    """Write code anew; None if Python cannot."""
    for hoisted in (False, True):
        try:
            if hoisted:
                _hoist(wanted, changed)
            text = ast.unparse(wanted)
        except _FAILURES:
            continue
        if _same(text, wanted):
            return text
    return None


def _hoist(tree: ast.Module, changed: set[int]) -> None:
    """Give names to the values within f-strings: before Python 3.12 no backslash may stand there."""
    hoisting = _Hoisting(changed)
    hoisting.visit(tree)
    first = next(
        (
            number
            for number, node in enumerate(tree.body)
            if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
            and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        ),
        len(tree.body),
    )
    tree.body[first:first] = [
        ast.Assign([ast.Name(name, ast.Store())], value) for name, value in hoisting.values.items()
    ]
    ast.fix_missing_locations(tree)


class _Hoisting(ast.NodeTransformer):
    """Puts names in the place of values within f-strings.

    Args:
        changed: the literals that have values in them, by their identity.

    Attributes:
        values: by the names.
    """

    def __init__(self, changed: set[int]) -> None:
        self._changed = changed
        self._inside = 0
        self.values: dict[str, ast.expr] = {}

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        """Look into the expression."""
        self._inside += 1
        node.value = self.visit(node.value)
        self._inside -= 1
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Name a value."""
        if not self._inside or id(node) not in self._changed:
            return node
        name = f"_hidden_value_{len(self.values) + 1}"
        self.values[name] = ast.Constant(node.value)
        return ast.copy_location(ast.Name(name, ast.Load()), node)


def _with_marks(code: str, tokens: Iterable[tuple[int, int, Any]]) -> str:
    """Put names in the place of tokens: a name may stand bare in code as well as in a text."""
    parts, last = [], 0
    for number, (start, end, _) in enumerate(tokens):
        parts += [code[last:start], _MARK.format(number)]
        last = end
    return "".join([*parts, code[last:]])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


class _Values(ast.NodeTransformer):
    """Puts values into a syntax tree.

    Args:
        values: of the marks, by number.
        patterns: nodes of literals that are regular expressions, by their identity.

    Attributes:
        bare: numbers of the marks that stand as names of their own.
        as_pattern: numbers of the marks that stand in regular expressions.
        changed: the literals that have values in them, by their identity.
    """

    def __init__(self, values: Sequence[Any], patterns: set[int]) -> None:
        self.values = values
        self._patterns = patterns
        self._made: list[ast.AST] = []  # identities stay theirs as long as they are held
        self.bare: set[int] = set()
        self.as_pattern: set[int] = set()
        self.changed: set[int] = set()

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A token without quotes is the value itself."""
        found = _MARKED.fullmatch(node.id)
        if found is None or not isinstance(node.ctx, ast.Load):
            return node
        self.bare.add(int(found[1]))
        return ast.copy_location(_literal(self.values[int(found[1])]), node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """A token in a literal is the value's text."""
        if isinstance(node.value, str) and _MARKED.search(node.value):
            made = ast.copy_location(ast.Constant(self._put(node, node.value), node.kind), node)
            self.changed.add(id(made))
            self._made.append(made)
            return made
        if isinstance(node.value, bytes) and b"RLM_HIDDEN_" in node.value:
            text = self._put(node, node.value.decode("latin-1"), is_bytes=True)
            return ast.copy_location(ast.Constant(text.encode("latin-1")), node)
        return node

    def _put(self, node: ast.Constant, text: str, *, is_bytes: bool = False) -> str:
        pattern = id(node) in self._patterns

        def put(match: re.Match[str]) -> str:
            value = _text(self.values[int(match[1])])
            if pattern:
                self.as_pattern.add(int(match[1]))
                value = re.escape(value)
            return value.encode().decode("latin-1") if is_bytes else value

        return _MARKED.sub(put, text)


def _literal(value: Any) -> ast.expr:
    """Returns the expression of a value that stands bare: a number as one, all else as a text."""
    try:
        tree = syntax_tree(repr(value), "<value>").body
    except _FAILURES:
        tree = []
    if len(tree) == 1 and isinstance(tree[0], ast.Expr) and type(value) in (int, float):
        return tree[0].value
    return ast.Constant(_text(value))


def _patterns(tree: ast.Module) -> set[int]:
    """Returns the literals that are patterns: arguments of what takes one, and values of names that are given to it."""
    names: set[str] = set()
    found: set[int] = set()
    for node in ast.walk(tree):
        for argument in _pattern_arguments(node):
            if isinstance(argument, ast.Name):
                names.add(argument.id)
            found |= _constants(argument)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in names for target in node.targets
        ):
            found |= _constants(node.value)
    return found


def _constants(node: ast.AST) -> set[int]:
    """Returns the texts of an expression, but not those that a call in it changes, such as `re.escape`."""
    if isinstance(node, ast.Call):
        return set()
    if isinstance(node, ast.Constant):
        return {id(node)}
    return {number for child in ast.iter_child_nodes(node) for number in _constants(child)}


def _pattern_arguments(node: ast.AST) -> list[ast.expr]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return []
    method, owner = node.func.attr, node.func.value
    keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    regex = keywords.get("regex")
    said = regex.value if isinstance(regex, ast.Constant) else None
    first = node.args[:1] or [keywords[name] for name in ("pattern", "pat") if name in keywords]
    if isinstance(owner, ast.Name) and owner.id in ("re", "regex"):
        return first if method in _PATTERN_FUNCTIONS else []
    is_str = isinstance(owner, ast.Attribute) and owner.attr == "str"
    if is_str and method in _PATTERN_METHODS:
        return [] if said is False else first
    if said is True and method in _REPLACING:
        return first or [keywords[name] for name in ("to_replace",) if name in keywords]
    return [keywords[name] for name in _PATTERN_KEYWORDS if name in keywords and said is None]


def _literal_places(tree: ast.Module, marked: str) -> list[tuple[int, int, bool]]:
    """Returns which characters of the code are literals of texts, and whether each is raw."""
    lines = marked.splitlines(keepends=True) if "\f" not in marked else re.split(r"(?<=\n)", marked)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def place(line: int, column: int) -> int:
        text = lines[line - 1] if line <= len(lines) else ""
        return starts[line - 1] + len(text.encode()[:column].decode("utf-8", "ignore"))

    found = []
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
        if (text or isinstance(node, ast.JoinedStr)) and getattr(node, "end_lineno", None) is not None:
            node = cast("ast.expr", node)
            first = place(node.lineno, node.col_offset)
            last = place(node.end_lineno or node.lineno, node.end_col_offset or 0)
            prefix = re.match(r"[A-Za-z]*", marked[first : first + 3])
            found.append((first, last, bool(prefix) and "r" in prefix.group().lower()))  # type: ignore[union-attr]
    return found


def _written(
    code: str,
    tokens: Sequence[tuple[int, int, Any]],
    marked: str,
    places: Sequence[tuple[int, int, bool]],
    rewriting: _Values,
) -> str:
    """Put values into the text of the code: those in literals escaped, those that stand bare as literals."""
    marks = [match.start() for match in _MARKED.finditer(marked)]
    parts, last = [], 0
    for number, (start, end, value) in enumerate(tokens):
        parts.append(code[last:start])
        last = end
        around = [raw for first, stop, raw in places if first < marks[number] < stop]
        if number in rewriting.bare:
            parts.append(ast.unparse(_literal(value)))
        elif around:
            text = re.escape(_text(value)) if number in rewriting.as_pattern else _text(value)
            parts.append(text if any(around) else _escape(text))
        else:
            parts.append(code[start:end])  # a comment
    return "".join([*parts, code[last:]])


def _escape(text: str) -> str:
    """Returns what a text is in a literal of any quotes, in an f-string too."""
    return "".join(
        char if _PLAIN.fullmatch(char) or (not char.isascii() and char.isalnum()) else _escape_character(char)
        for char in text
    )


def _escape_character(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 1 << 8 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def _escaped(code: str, tokens: Iterable[tuple[int, int, Any]]) -> str:
    parts, last = [], 0
    for start, end, value in tokens:
        parts += [code[last:start], _escape(_text(value))]
        last = end
    return "".join([*parts, code[last:]])


def _same(text: str, wanted: ast.Module) -> bool:
    """Whether code means what it shall mean."""
    try:
        found = syntax_tree(text, "<reply>")
    except _FAILURES:
        return False
    return _dumped(found) == _dumped(wanted)


def _dumped(tree: ast.Module) -> str:
    return ast.dump(_Joined().visit(tree))


class _Joined(ast.NodeTransformer):
    """Joins the texts of an f-string that stand side by side: however they are divided, they say the same."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Join neighbours."""
        self.generic_visit(node)
        parts: list[ast.expr] = []
        for part in node.values:
            before = parts[-1] if parts else None
            if isinstance(part, ast.Constant) and isinstance(before, ast.Constant):
                parts[-1] = ast.Constant(str(before.value) + str(part.value))
            elif not (isinstance(part, ast.Constant) and part.value == ""):
                parts.append(part)
        node.values = parts
        return node
