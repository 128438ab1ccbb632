"""The box in which a user of the viewer answers what agents' code asks by `ask_user`."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.text.sanitize import clean, one_line
from rlm_jupyter.text.units import duration
from rlm_jupyter.user_questions.pending import MAX_ANSWER

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

    from rlm_jupyter.user_questions.pending import UserQuestion

_LOOK_SECONDS: Final = 0.2
_QUESTION: Final = 2000
_OPTION: Final = 200


class ViewerAudience:
    """Lets questions be answered in the viewer as long as it is open; after that, their defaults are taken.

    It is what `answering` takes: a function of a question, called on a thread of its own.
    """

    def __init__(self) -> None:
        self._closed = threading.Event()

    def __call__(self, asked: UserQuestion) -> None:
        """Wait until the question is answered, or nobody can answer it any more."""
        while asked.waits:
            if self._closed.wait(_LOOK_SECONDS):
                with suppress(RLMError):  # answered meanwhile
                    asked.take_default("the viewer was closed")

    def close(self) -> None:
        """The viewer is closed."""
        self._closed.set()


class QuestionBox(ModalScreen[bool]):
    """A question with its options, or with a line to type in. It closes as soon as no answer is wanted any more.

    Its result is whether the question was put off: Esc leaves it waiting.

    Args:
        asked: the question; its texts are data of a model.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "put_off", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("enter", "answer", show=False),
    ]

    def __init__(self, asked: UserQuestion) -> None:
        super().__init__()
        self._asked = asked
        self._chosen = asked.options.index(asked.default) if asked.default in asked.options else None

    def compose(self) -> ComposeResult:
        """Make the box."""
        with VerticalScroll(classes="box wide"):
            agent = one_line(self._asked.agent, 60)
            yield Static(f"Agent {agent} asks you:", markup=False, classes="small")
            yield Static(clean(self._asked.question, _QUESTION), markup=False)
            yield Static(id="options", markup=False)
            if not self._asked.options:
                yield Input(id="typed", max_length=MAX_ANSWER, compact=True)
            yield Static(self._how(), markup=False, classes="small")

    def on_mount(self) -> None:
        """Show the options, and look whether an answer is still wanted."""
        self._show()
        if not self._asked.options:
            self.query_one("#typed").focus()
        self.set_interval(_LOOK_SECONDS, self._close_if_settled)

    def _how(self) -> str:
        default = one_line(self._asked.default, _OPTION)
        within = duration(self._asked.seconds)
        if self._asked.options:
            how = "↑ ↓ or the number chooses, Enter answers"
        else:
            how = f"Enter answers; an empty line is: {default}"
        return f"\n{how}. Esc: later (key a). Without an answer within {within}: {default}"

    def _show(self) -> None:
        lines = [
            f"{'>' if number == self._chosen else ' '} {number + 1}  {one_line(option, _OPTION)}"
            for number, option in enumerate(self._asked.options)
        ]
        self.query_one("#options", Static).update("\n".join(lines))

    def _close_if_settled(self) -> None:
        if self.is_current and not self._asked.waits:
            self.dismiss(False)

    def on_key(self, event: events.Key) -> None:
        """Choose an option by its number; only Enter answers, as the number may have been meant for the viewer."""
        options = self._asked.options
        if options and event.character is not None and event.character in "123456789"[: len(options)]:
            event.stop()
            self._chosen = int(event.character) - 1
            self._show()

    def action_move(self, by: int) -> None:
        """Choose the next option or the one before."""
        count = len(self._asked.options)
        if count:
            self._chosen = (by - 1 if self._chosen is None and by > 0 else (self._chosen or 0) + by) % count
            self._show()

    def action_answer(self) -> None:
        """Answer with the option that is chosen."""
        if self._chosen is not None:
            with suppress(ConfigError):  # its time is up
                self._asked.choose(self._chosen)
            self.dismiss(False)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Answer with what was typed; nothing is the default."""
        message.stop()
        with suppress(ConfigError):  # its time is up
            if message.value.strip():
                self._asked.answer(message.value)
            else:
                self._asked.take_default("the user took the default")
        self.dismiss(False)

    def action_put_off(self) -> None:
        """Let it wait."""
        self.dismiss(True)
