"""Audio that an agent's code sends with a prompt: its headers are read, and it goes on as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rlm_jupyter.engine.agent_requests.received_values import load_files
from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.guest.audio_files import MOST_AUDIO, MOST_TOGETHER, check_audio
from rlm_jupyter.models.audio import Audio, AudioFormat

if TYPE_CHECKING:
    from rlm_jupyter.values.store import Buffer


def load_audio(buffer: Buffer) -> tuple[Audio, ...]:
    """Read the audio of a prompt; the kernel may have sent anything.

    Args:
        buffer: a list of WAV and MP3 files.

    Raises:
        RLMError: it is something else, or more than a prompt may have.
    """
    files = load_files(buffer, "audio", most=MOST_AUDIO, size=MOST_TOGETHER)
    try:
        found = check_audio(files)
    except ValueError as error:
        raise MalformedValueError(str(error)) from None
    return tuple(
        Audio(file, cast("AudioFormat", kind), seconds)
        for file, (kind, seconds) in zip(files, found, strict=True)
    )
