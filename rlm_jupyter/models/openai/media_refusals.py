"""Refusals that are about the images or the audio of a request, told by their words: there is no code for them."""

from __future__ import annotations

from dataclasses import replace
from re import IGNORECASE
from re import compile as pattern
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.base import audio_of, images_of
from rlm_jupyter.models.openai.failure_kinds import Failure, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from re import Pattern

    from rlm_jupyter.models.base import Message

_MOST_TEXT: Final = 4_000
_SEES: Final = r"(?:\bimages?\b|image_url|(?<![-\w./])vision(?![-\w])|visual|multi-?modal)"
_HEARS: Final = r"(?:(?<![-\w./])audios?(?![-\w])|input_audio|(?<![-\w./])speech(?![-\w])|multi-?modal)"
_REFUSE: Final = r"(?:support|enabled|allow|accept|permit)"


def _refusal(medium: str, name: str, part: str) -> Pattern[str]:
    """Returns the words of servers; which they are is known from their threads of issues and from their sources.

    Args:
        medium: words for what is refused.
        name: of it.
        part: the kind of part of a message that has it.
    """
    return pattern(
        # llama.cpp: image input is not supported. OpenAI: `image_url` is only supported by certain models.
        rf"{medium}[^.]{{0,60}}(?:(?:not|n't|never)[ _](?:be |currently |yet )?{_REFUSE}"
        r"|unsupported|only supported (?:by|on|for|with))"
        # Ollama: this model does not support image input. OpenRouter: No endpoints found that support image input.
        r"|(?:not|n't|cannot|unable to|no endpoints found that) (?:support|accept|process|handle|take|read|see|hear)"
        rf"[^.]{{0,40}}{medium}"
        # vLLM: is not a multimodal model; At most 0 image(s). Ollama: missing data required for image input.
        rf"|not an? [^.]{{0,20}}{medium}|at most 0 {name}"
        rf"|(?:missing|without|not configured with|no)\b[^.]{{0,40}}(?:{name} input|mmproj)"
        # Servers that know nothing but texts: unknown variant `image_url`, expected `text`; content must be a string.
        rf"|(?:unknown|unexpected|invalid|unsupported)[^.]{{0,30}}{part}"
        r"|content\b[^.]{0,40}(?:must|should) be (?:a |of type )?(?:valid )?str|input should be a valid string"
        # Chat templates that join texts, as of llama-cpp-python: can only concatenate str (not "list") to str.
        r"|not .?list.?\) to str|.list. object has no attribute"
        r"|expected str(?:ing)?,? (?:but )?(?:got|found) .?(?:list|array)"
        # OpenAI: content blocks are expected to be either text or image_url type.
        rf"|blocks are expected to be (?:either )?(?:(?!{part})[^.]){{0,60}} type",
        IGNORECASE,
    )


_NO_IMAGES: Final = _refusal(_SEES, "image", "image_url")
_NO_AUDIO: Final = _refusal(_HEARS, "audio", "input_audio")


def of_media(failure: Failure, messages: Sequence[Message]) -> Failure:
    """Returns a failure as one about images or audio, if the request had some and the server says so.

    Args:
        failure: of a request.
        messages: that were sent.
    """
    if not failure.refuses_content:
        return failure
    said = f"{failure.text[:_MOST_TEXT]} {failure.param[:200]}"
    if audio_of(messages) and _NO_AUDIO.search(said):
        return replace(failure, kind=Kind.AUDIO)
    if images_of(messages) and _NO_IMAGES.search(said):
        return replace(failure, kind=Kind.IMAGES)
    return failure
