"""One cell's way through a kernel: its output while it arrives, and its result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rlm_jupyter.guest.ipykernel_hooks.bounded_output import NOTICE
from rlm_jupyter.kernels.channels.bounded_text import BoundedText
from rlm_jupyter.kernels.channels.tracebacks import clean_traceback
from rlm_jupyter.text.shorten import CutText

log = logging.getLogger(__name__)

CellStatus = Literal["ok", "error", "interrupted", "timeout", "died"]
OnOutput = Callable[[str, str], None]
"""Called with the stream (`stdout`, `stderr`, `result` or `display`) and the text, while a cell runs."""


MOST_PICTURES = 8
"""Pictures of a cell that are taken; the kernel sends no more."""
LONGEST_PICTURE = 300_000
"""Characters of a picture in base64."""
LONGEST_ERROR = 2_000
"""Characters of an exception's own text; the traceback has it too."""
_NOTHING = CutText()


@dataclass(frozen=True)
class ShownPicture:
    """A picture that a cell has shown, as the kernel sent it: nobody has looked at it yet.

    Attributes:
        text: the line that stands for it.
        png: base64.
    """

    text: str
    png: str


@dataclass(frozen=True)
class CellResult:
    """What became of one cell.

    Attributes:
        status: `ok`, `error` (it raised), `interrupted`, `timeout` or `died` (the kernel did).
        error_name: the exception's type; empty if there is none.
        error_value: its text.
        printed: streams, results and displays as text in the order they came; head and tail where it was long.
        frames: plain text of the traceback, with the frames of the agent's own cells only.
        restarted: whether a fresh kernel took the place of the old one, so that its variables are gone.
        pictures: what it showed beside the text.
    """

    status: CellStatus
    error_name: str = ""
    error_value: str = ""
    printed: CutText = _NOTHING
    frames: CutText = _NOTHING
    restarted: bool = False
    pictures: tuple[ShownPicture, ...] = ()

    @property
    def error_text(self) -> CutText:
        """`error_value`, which may have lost its end; that it has, is all that is known."""
        return CutText(self.error_value, cut=int(len(self.error_value) >= LONGEST_ERROR))

    @property
    def output(self) -> str:
        """What was printed and shown, as one text."""
        return str(self.printed)

    @property
    def cut(self) -> int:
        """Characters left out of `output`."""
        return self.printed.cut

    @property
    def traceback(self) -> str:
        """The traceback as one text."""
        return str(self.frames)


class Recorder:
    """Takes the messages of one cell."""

    def __init__(self, on_output: OnOutput | None) -> None:
        self._on_output = on_output
        self._text = BoundedText()
        self.error: Mapping[str, Any] = {}
        self._pictures: list[ShownPicture] = []

    def on_message(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take one message of the iopub channel."""
        if kind == "stream":
            self._add(str(content.get("name", "stdout")), str(content.get("text", "")))
        elif kind in {"execute_result", "display_data", "update_display_data"}:
            self._take_data("result" if kind == "execute_result" else "display", content.get("data"))
        elif kind == "clear_output":
            self._text.clear(wait=bool(content.get("wait")))
        elif kind == "error":
            self.error = content

    def _take_data(self, stream: str, data: Any) -> None:
        if not isinstance(data, Mapping):
            return
        notice = data.get(NOTICE)
        if isinstance(notice, Mapping) and isinstance(notice.get("cut"), int):
            self._text.skip(max(0, notice["cut"]))
        elif data.get("text/plain"):
            self._add(stream, f"{data['text/plain']}\n")
            self._take_picture(str(data["text/plain"]), data.get("image/png"))

    def _take_picture(self, text: str, png: object) -> None:
        if isinstance(png, str) and 0 < len(png) <= LONGEST_PICTURE and len(self._pictures) < MOST_PICTURES:
            self._pictures.append(ShownPicture(text[:LONGEST_ERROR], png))

    def _add(self, stream: str, text: str) -> None:
        self._text.append(text)
        if self._on_output is not None:
            try:
                self._on_output(stream, text)
            except Exception:
                log.exception("The receiver of a cell's output failed")

    def result(
        self,
        status: CellStatus,
        reply: Mapping[str, Any] | None = None,
        *,
        restarted: bool = False,
        why: str = "",
    ) -> CellResult:
        """Make the result.

        Args:
            status: as in `CellResult`.
            reply: the content of the execute reply, where there is one.
            restarted: as in `CellResult`.
            why: what to say as `error_value` where the kernel itself had no say.
        """
        failed = reply if reply and reply.get("status") == "error" else self.error if status != "ok" else {}
        name = str(failed.get("ename", ""))
        return CellResult(
            status=status,
            error_name=name
            or ("" if status == "ok" else {"died": "KernelDied", "timeout": "CellTimeout"}.get(status, "")),
            error_value=why or str(failed.get("evalue", ""))[:LONGEST_ERROR],
            printed=self._text.text(),
            frames=clean_traceback(failed.get("traceback") or ()),
            restarted=restarted,
            pictures=tuple(self._pictures),
        )
