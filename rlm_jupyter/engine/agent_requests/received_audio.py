"""Audio that an agent's code sends with a prompt: its headers are read, and it goes on as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.guest.audio_files import MOST_AUDIO, MOST_TOGETHER, check_audio
from rlm_jupyter.models.audio import Audio, AudioFormat

if TYPE_CHECKING:
    from rlm_jupyter.values.store import Buffer

_HEAD: Final = 1_000_000
"""Bytes that the list around the files may take."""


def load_audio(buffer: Buffer) -> tuple[Audio, ...]:
    """Read the audio of a prompt; the kernel may have sent anything.

    Args:
        buffer: a list of WAV and MP3 files.

    Raises:
        RLMError: it is something else, or more than a prompt may have.
    """
    if buffer.size > MOST_TOGETHER + _HEAD:
        raise MalformedValueError(f"The audio of a prompt takes more than {MOST_TOGETHER:,} bytes.")
    files = load_received(buffer)
    if (
        type(files) is not list
        or not 0 < len(files) <= MOST_AUDIO
        or any(type(file) is not bytes for file in files)
    ):
        raise MalformedValueError(f"The audio of a prompt is not a list of at most {MOST_AUDIO} files.")
    try:
        found = check_audio(files)
    except ValueError as error:
        raise MalformedValueError(str(error)) from None
    return tuple(
        Audio(file, cast("AudioFormat", kind), seconds)
        for file, (kind, seconds) in zip(files, found, strict=True)
    )
