"""Writes `js/src/state/protocol.ts` from `protocol.py` and its parts in `rlm_jupyter/views`: `make protocol`."""

from __future__ import annotations

import ast
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SOURCES = [
    ROOT / "rlm_jupyter" / "views" / f"{name}.py"
    for name in ("protocol", "card_protocol", "code_protocol", "replay_protocol", "command_protocol")
]
TARGET = ROOT / "js" / "src" / "state" / "protocol.ts"

_HEAD = """/**
 * The messages between the widget's Python and JavaScript sides: plain JSON in custom messages.
 *
 * Generated from `rlm_jupyter/views/protocol.py` by `make protocol`; do not edit.
 */
"""
_WIDTH = 110
_NAMES = {
    "str": "string",
    "int": "number",
    "float": "number",
    "bool": "boolean",
    "Any": "unknown",
}


def _type(node: ast.expr) -> str:
    """Returns a Python annotation as a TypeScript type."""
    match node:
        case ast.Constant(value=None):
            return "null"
        case ast.Constant(value=str(text)):
            return json.dumps(text)
        case ast.Name(id=name):
            return _NAMES.get(name, name)
        case ast.BinOp(left=left, right=right):
            return f"{_type(left)} | {_type(right)}"
        case ast.Subscript(value=ast.Name(id=generic), slice=ast.Tuple(elts=parts)):
            return _generic(generic, [_type(part) for part in parts])
        case ast.Subscript(value=ast.Name(id=generic), slice=part):
            return _generic(generic, [_type(part)])
    raise TypeError(f"`{ast.unparse(node)}` has no form in TypeScript: extend `js/dev/make_protocol.py`.")


def _generic(name: str, parts: list[str]) -> str:
    match name:
        case "NotRequired" | "Literal":
            return " | ".join(parts)
        case "list":
            return f"({parts[0]})[]" if " | " in parts[0] else f"{parts[0]}[]"
        case "tuple":
            return f"[{', '.join(parts)}]"
        case "dict":
            return f"Record<{', '.join(parts)}>"
    raise TypeError(f"`{name}` has no form in TypeScript: extend `js/dev/make_protocol.py`.")


def _doc(node: ast.stmt | None) -> str:
    """Returns the text of a docstring statement, or an empty string."""
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.split())
    return ""


def _comment(text: str, indent: str = "") -> str:
    return f"{indent}/** {text} */\n" if text else ""


def _field(node: ast.AnnAssign, doc: str) -> str:
    name = ast.unparse(node.target)
    optional = "?" if ast.unparse(node.annotation).startswith("NotRequired[") else ""
    if doc.startswith(("Partial<", "Record<")):  # a type that Python cannot say
        return f"  {name}{optional}: {doc};\n"
    return f"{_comment(doc, '  ')}  {name}{optional}: {_type(node.annotation)};\n"


def _interface(node: ast.ClassDef) -> str:
    bases = [ast.unparse(base) for base in node.bases if ast.unparse(base) != "TypedDict"]
    extends = f" extends {', '.join(bases)}" if bases else ""
    body = [*node.body[1:], None]
    fields = "".join(
        _field(field, _doc(after))
        for field, after in zip(body, [*body[1:], None], strict=True)
        if isinstance(field, ast.AnnAssign)
    )
    return f"{_comment(_doc(node.body[0]))}export interface {node.name}{extends} {{\n{fields}}}\n"


def _alias(name: str, value: ast.expr, doc: str) -> str:
    whole = _type(value)
    line = f"export type {name} = {whole};"
    if len(line) > _WIDTH:
        line = f"export type {name} =" + "".join(f"\n  | {part}" for part in whole.split(" | ")) + ";"
    return f"{_comment(doc)}{line}\n"


def _constant(node: ast.AnnAssign, doc: str) -> str:
    value = json.dumps(ast.literal_eval(node.value), indent=2) if node.value else "{}"
    lines = [
        f"  {line.strip().replace(chr(34), '', 2)}," if ":" in line else line
        for line in value.replace(",\n", "\n").splitlines()
    ]
    name = ast.unparse(node.target)
    return f"{_comment(doc)}export const {name}: {ast.unparse(node.annotation)} = " + "\n".join(lines) + ";\n"


def protocol() -> str:
    """Returns the TypeScript of the whole protocol."""
    body = [node for source in SOURCES for node in ast.parse(source.read_text("utf-8")).body]
    parts = [_HEAD]
    for node, after in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.ClassDef():
                parts.append(_interface(node))
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if not name.isupper():
                parts.append(_alias(name, value, _doc(after)))
            case ast.AnnAssign():
                parts.append(_constant(node, _doc(after)))
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(protocol(), encoding="utf-8")
