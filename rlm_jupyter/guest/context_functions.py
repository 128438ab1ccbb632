"""Functions on the data that each kernel knows and binds only once a cell calls them.

It travels into an agent's kernel as source: the standard library only. Until a cell calls one, or asks `help` for it,
the namespace has nothing of them; and what code has defined under such a name stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ASKING = ("help", "inspect", "getsource")
_MOST_NODES = 100_000


class ContextFunctions:
    """An AST transformer of IPython that changes nothing: it binds the functions that the cell calls and has not.

    Args:
        namespace: that cells run in.
        offered: the functions by name.
        bind: binds some of them.
    """

    def __init__(
        self, namespace: dict[str, Any], offered: Mapping[str, Any], bind: Callable[[dict[str, Any]], None]
    ) -> None:
        self._namespace, self._offered, self._bind = namespace, offered, bind

    def visit(self, tree: Any) -> Any:
        """Look at the syntax tree of the cell that is about to run."""
        try:
            wanted = {name for name in self._called(tree) if name not in self._namespace}
            if wanted:
                self._bind({name: self._offered[name] for name in sorted(wanted)})
        except Exception:  # noqa: S110 - the cell's own error tells of it
            pass
        return tree

    def _called(self, tree: Any) -> set[str]:
        """Returns the names of offered functions that the cell calls and does not itself define."""
        import ast

        called: set[str] = set()
        defined: set[str] = set()
        for count, node in enumerate(ast.walk(tree)):
            if count > _MOST_NODES:
                break
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called.add(node.func.id)
                if node.func.id in _ASKING:
                    called |= {one.id for one in node.args if isinstance(one, ast.Name)}
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                defined.add(node.id)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                defined.add(node.name)
            elif isinstance(node, ast.arg):
                defined.add(node.arg)
            elif isinstance(node, ast.alias):
                defined.add(node.asname or node.name.partition(".")[0])
        return (called & set(self._offered)) - defined
