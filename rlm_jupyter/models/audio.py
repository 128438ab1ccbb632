"""Audio that goes to a model with a message, and how many tokens it takes.

What is counted for a second of audio depends on the model alone:

- Google: https://ai.google.dev/gemini-api/docs/tokens - 32.
- OpenAI: https://platform.openai.com/docs/guides/realtime-costs - 10.
- Voxtral: https://arxiv.org/abs/2507.13264 - 12.5; Qwen2-Audio: https://arxiv.org/abs/2407.10759 - 25. Both have the
  encoder of Whisper (https://arxiv.org/abs/2212.04356), which makes 50 of a second, and reads windows of 30 seconds,
  the last one filled up with silence.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

_PER_SECOND: Final = 32
_MOST_PER_SECOND: Final = 50
_WINDOW: Final = 30
"""Seconds."""

AudioFormat = Literal["wav", "mp3"]


@dataclass(frozen=True)
class Audio:
    """Audio that goes to a model with a message: a file as an agent's code sent it.

    Attributes:
        data: the file.
        format: of the file.
        seconds: that it sounds at the most, by its headers.
    """

    data: bytes = field(repr=False)
    format: AudioFormat
    seconds: float

    @cached_property
    def sha256(self) -> str:
        """The hash of the file, which stands for it where the file itself is not kept."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def base64(self) -> str:
        """The file, as protocols carry it."""
        return base64.b64encode(self.data).decode()

    @property
    def reference(self) -> str:
        """What logs and chats have in its place."""
        kind, seconds = self.format.upper(), f"{self.seconds:,.1f} seconds"
        return f"[audio: {kind}, {seconds}, {len(self.data):,} bytes, sha256 {self.sha256}]"

    @property
    def tokens(self) -> int:
        """About how many tokens of a prompt it takes."""
        return _rounded_up(self.seconds * _PER_SECOND)

    def most_tokens(self, _model: str = "") -> int:
        """Returns the most tokens of a prompt that it may take: 50 for each second of whole windows of 30 seconds."""
        return max(1, _rounded_up(self.seconds / _WINDOW)) * _WINDOW * _MOST_PER_SECOND


def _rounded_up(number: float) -> int:
    return -int(-number // 1)
