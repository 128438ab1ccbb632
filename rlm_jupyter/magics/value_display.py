"""Whether a cell's value stands below its tree too: not if the card of the tree shows the whole of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState

_PATCHED = ("write_output_prompt", "compute_format_data")


def on_card_only(magics: MagicsState, run: Run) -> bool:
    """Returns whether a run's value is to be shown on its card and nowhere else, as the setting `print_value` says."""
    if magics.print_value != "auto":
        return bool(magics.print_value == "never")
    from rlm_jupyter.views.answer_card import answer_card
    from rlm_jupyter.views.display import display_mode
    from rlm_jupyter.views.text_card import fits

    with run.lock:
        card = answer_card(run.tree)
    if card is None or not card["whole"]:
        return False
    return display_mode(magics.shell) != "text" or fits(card)


def show_no_more(shell: InteractiveShell, value: object) -> None:
    """Let the cell that runs store its value under `_` and in `Out`, and print nothing for it.

    IPython has no such way: a `;` at the end of a cell, and a value that is handled by `_ipython_display_`, are of
    the cell's text and of the value's class. So two methods of its display hook are replaced, on the instance and
    until the cell has ended.
    """
    hook: Any = shell.displayhook
    if any(name in vars(hook) for name in _PATCHED):
        return
    prompt, formatted = hook.write_output_prompt, hook.compute_format_data

    def compute(result: object) -> tuple[dict[str, Any], dict[str, Any]]:
        restore()
        if result is value:
            return {}, {}
        prompt()
        made: tuple[dict[str, Any], dict[str, Any]] = formatted(result)
        return made

    def restore(*_: object) -> None:
        for name in _PATCHED:
            vars(hook).pop(name, None)
        if restore in shell.events.callbacks["post_run_cell"]:
            shell.events.unregister("post_run_cell", restore)

    hook.write_output_prompt = lambda: None  # it comes before the value is known; see `compute`
    hook.compute_format_data = compute
    shell.events.register("post_run_cell", restore)
