"""Answers a page that asks for the code behind the run's answer: made, and run again, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.views.code_view import cell_text, code_text
from rlm_jupyter.views.widget_commands import Reply, RunFace, failure

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.answer_code import AnswerCode
    from rlm_jupyter.views.code_protocol import CodeText

_MOST = 20
"""Requests that wait for one making of the code."""


class CodeRequests:
    """The code of one run, for all pages that show it: made once, however many ask at the same time.

    Args:
        run: finds the run; raises `RLMError` if it is gone.
        namespace: the notebook's variables, of which a cell must bind none anew; None for none.
    """

    def __init__(self, run: Callable[[], RunFace], namespace: Mapping[str, Any] | None = None) -> None:
        self._run = run
        self._namespace = namespace
        self._code: AnswerCode | None = None
        self._lock = threading.Lock()
        self._waiting: list[tuple[Mapping[str, Any], Reply]] = []
        self._made: CodeText | None = None

    def ask(self, message: Mapping[str, Any], reply: Reply) -> None:
        """Send the code to who asks, now or when it was run again.

        Args:
            message: the request.
            reply: takes the answer, on any thread.

        Raises:
            ConfigError: too many wait already.
        """
        with self._lock:
            made = self._made
            if made is None:
                if len(self._waiting) >= _MOST:
                    raise ConfigError("The code is being run again: wait for it.")
                self._waiting.append((message, reply))
                if len(self._waiting) > 1:
                    return
        if made is not None:
            reply(self._answer(message, made))
            return
        # A daemon: a proof that takes long must not keep the notebook's kernel from shutting down.
        threading.Thread(target=self._work, name="rlm-code", daemon=True).start()

    def _work(self) -> None:
        code, made, error = None, None, None
        try:
            code = _code_of(self._run())
            made = code_text(code)
        except Exception as raised:  # whatever it is, who asked gets an answer
            error = raised
        with self._lock:
            waiting, self._waiting = self._waiting, []
            # What could not be tried may be possible later.
            self._code = code
            self._made = made if made is not None and made["verdict"] != "not tried" else None
        for message, reply in waiting:
            reply(
                failure(message, error) if made is None and error is not None else self._answer(message, made)
            )

    def _answer(self, message: Mapping[str, Any], made: CodeText | None) -> dict[str, Any]:
        """Returns the message with the code; a cell of it for the variables that the notebook has now."""
        code, names = self._code, list(self._namespace or ())
        if made is not None and code is not None:
            made = {**made, "cell": cell_text(code, made, names)}
        return {"kind": "code", "request": message.get("request"), "code": made}


def _code_of(run: RunFace) -> AnswerCode:
    method: Callable[[], AnswerCode] | None = getattr(run, "code", None)
    if method is None:
        raise ConfigError(f"Run `{run.id}` has no code behind its answer.")
    return method()
