"""Writes a run to a file that can be kept: a page, a notebook, a script or a picture, as its name says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.events.levels import Level, level_of
from rlm_jupyter.events.tree_levels import reduced

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.answer_code import AnswerCode
    from rlm_jupyter.events.events import AnyEvent
    from rlm_jupyter.events.tree_state import TreeState

KINDS = {
    ".html": "a page that opens in any browser",
    ".ipynb": "a notebook",
    ".py": "a script",
    ".mmd": "a Mermaid diagram of the agents",
    ".gif": "an animated picture of the tree",
}
"""What a file is, by how its name ends."""


def export_run(
    tree: TreeState,
    path: str | os.PathLike[str],
    *,
    level: str = "all",
    static: bool = False,
    events: Sequence[AnyEvent] = (),
    code: Callable[[], AnswerCode] | None = None,
) -> Path:
    """Write a run to a file that does not exist yet; return its path.

    Args:
        tree: the run's state; hold the run's lock while it is live.
        path: of the file: `.html`, `.ipynb`, `.py`, `.mmd` or `.gif`.
        level: how much of the run is in it: `all`, `redacted` (no data) or `structure` (no texts).
        events: what happened; with them, a page can be stepped through, and a picture moves.
        static: whether an `.html` file has no script: a plain tree in the place of the live one.
        code: returns the code behind the answer, without a proof; a page has it, if there is some.

    Raises:
        ConfigError: the path ends otherwise or exists, the file cannot be written, or there is no such level.
    """
    where = Path(path)
    kept = level_of(level)
    if where.suffix not in KINDS:
        known = ", ".join(f"`{suffix}` ({what})" for suffix, what in KINDS.items())
        raise ConfigError(f"`{where}` must end in one of {known}.")
    if static and where.suffix != ".html":
        raise ConfigError(f"`--static` is about pages: `{where}` does not end in `.html`.")
    if where.suffix == ".gif":
        from rlm_jupyter.views.gif_animation import to_gif

        made = to_gif(tree, kept, events)
    elif where.suffix == ".html" and not static:
        made = _page(tree, kept, events, code).encode()
    else:
        made = _text(tree, where.suffix, kept).encode()
    try:
        with where.open("xb") as file:
            file.write(made)
    except FileExistsError:
        raise ConfigError(f"`{where}` exists already: name another file with `-o`.") from None
    except OSError as error:
        raise ConfigError(f"`{where}` cannot be written: {error.strerror or error}.") from None
    return where


def _page(
    tree: TreeState, level: Level, events: Sequence[AnyEvent], code: Callable[[], AnswerCode] | None
) -> str:
    from rlm_jupyter.views.saved_page import saved_page

    return saved_page(tree, level=level, events=events, code=None if code is None else _code(tree, code))


def _text(tree: TreeState, suffix: str, level: Level) -> str:
    if suffix == ".html":
        from rlm_jupyter.views.saved_page import static_page

        return static_page(tree, level=level)
    from rlm_jupyter.records.export import to_notebook, to_script

    kept = reduced(tree, level)
    if suffix == ".mmd":
        from rlm_jupyter.records.mermaid_diagram import to_mermaid

        return to_mermaid(kept)
    return to_script(kept) if suffix == ".py" else json.dumps(to_notebook(kept), indent=1)


def _code(tree: TreeState, make: Callable[[], AnswerCode]) -> AnswerCode | None:
    """Returns the code behind the answer with what came of its proof, if it was proved; None if there is no code."""
    try:
        code = make()
    except RLMError:
        return None
    if (proof := tree.proof) is not None:
        if proof["characters"] == code.characters:
            code.verdict, code.detail = proof["verdict"], proof["detail"]
        else:
            code.detail = "the proof was of all code that ran"
    return code
