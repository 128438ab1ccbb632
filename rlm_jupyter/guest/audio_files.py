"""Audio that an agent's code sends to a model: WAV and MP3 files, as they are.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

from typing import Any

from .audio_format import read_audio
from .handed_files import check_size, read_handed, why_not_text

MOST_AUDIO = 10
"""Files of one prompt."""
MOST_TOGETHER = 14_000_000
"""Bytes of all files of a prompt; in base64 they are below the 20 MB that Google takes of a request."""
MOST_SECONDS = 7_200
"""Of all files of a prompt."""
_WHAT = "the bytes of a WAV or MP3 file, a `pathlib.Path` or an open file"
_PARTS = 'Cut it into parts (`wave`) and ask for each: `llm_query_batched("...", audio=parts)`.'


def encode_audio(audio: Any) -> list[bytes]:
    """Returns the audio of a prompt as files.

    Args:
        audio: one or a list of some: bytes of files, paths, open files.

    Raises:
        TypeError: one is nothing of that kind, or an address.
        ValueError: there are too many, they are too long, or one is no WAV or MP3 file.
    """
    items = list(audio) if isinstance(audio, (list, tuple)) else [audio]
    if len(items) > MOST_AUDIO:
        raise ValueError(
            f"`audio` has {len(items):,} files; the most of one prompt is {MOST_AUDIO}. Send them in parts, by "
            "`llm_query_batched(prompts, audio=[...])`."
        )
    files = [_bytes_of(item, f"audio[{number}]") for number, item in enumerate(items)]
    check_audio(files)
    return files


def check_audio(files: list[bytes]) -> list[tuple[str, float]]:
    """Returns the format and the most seconds of each file of a prompt.

    Raises:
        ValueError: they are too long, or one is no WAV or MP3 file.
    """
    size = sum(map(len, files))
    if size > MOST_TOGETHER:
        raise ValueError(f"The audio of the prompt takes more than {MOST_TOGETHER:,} bytes. {_PARTS}")
    found = [read_audio(file, f"audio[{number}]") for number, file in enumerate(files)]
    seconds = sum(sounds for _, sounds in found)
    if seconds > MOST_SECONDS:
        raise ValueError(
            f"The audio of the prompt takes {seconds:,.0f} seconds; the most is {MOST_SECONDS:,}. {_PARTS}"
        )
    return found


def _bytes_of(item: Any, name: str) -> bytes:
    if isinstance(item, str):
        raise TypeError(why_not_text(item, name, thing="file", wanted=_WHAT))
    data = read_handed(item, name, most=MOST_TOGETHER, wanted=_WHAT, too_large=_PARTS)
    check_size(data, name, MOST_TOGETHER, _PARTS)
    return bytes(data)
