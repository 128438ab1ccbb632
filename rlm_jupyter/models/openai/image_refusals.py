"""Refusals that are about the images of a request, told by their words: there is no code for them."""

from __future__ import annotations

from dataclasses import replace
from re import IGNORECASE
from re import compile as pattern
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.base import images_of
from rlm_jupyter.models.openai.failure_kinds import Failure, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.models.base import Message

_MOST_TEXT: Final = 4_000
_SEES: Final = r"(?:\bimages?\b|image_url|(?<![-\w./])vision(?![-\w])|visual|multi-?modal)"
_REFUSE: Final = r"(?:support|enabled|allow|accept|permit)"
_NO_IMAGES: Final = pattern(
    # llama.cpp: image input is not supported. OpenAI: `image_url` is only supported by certain models.
    rf"{_SEES}[^.]{{0,60}}(?:(?:not|n't|never)[ _](?:be |currently |yet )?{_REFUSE}"
    r"|unsupported|only supported (?:by|on|for|with))"
    # Ollama: this model does not support image input. OpenRouter: No endpoints found that support image input.
    r"|(?:not|n't|cannot|unable to|no endpoints found that) (?:support|accept|process|handle|take|read|see)"
    rf"[^.]{{0,40}}{_SEES}"
    # vLLM: is not a multimodal model; At most 0 image(s). Ollama: missing data required for image input.
    rf"|not an? [^.]{{0,20}}{_SEES}|at most 0 image"
    r"|(?:missing|without|not configured with|no)\b[^.]{0,40}(?:image input|mmproj)"
    # Servers that know nothing but texts: unknown variant `image_url`, expected `text`; content must be a string.
    r"|(?:unknown|unexpected|invalid|unsupported)[^.]{0,30}image_url"
    r"|content\b[^.]{0,40}(?:must|should) be (?:a |of type )?(?:valid )?str|input should be a valid string"
    # Chat templates that join texts, as of llama-cpp-python: can only concatenate str (not "list") to str.
    r"|not .?list.?\) to str|.list. object has no attribute"
    r"|expected str(?:ing)?,? (?:but )?(?:got|found) .?(?:list|array)",
    IGNORECASE,
)
"""Words of servers; which they are is known from their threads of issues and from their sources."""


def of_images(failure: Failure, messages: Sequence[Message]) -> Failure:
    """Returns a failure as one about images, if the request had some and the server says so.

    Args:
        failure: of a request.
        messages: that were sent.
    """
    if not failure.refuses_content or not images_of(messages):
        return failure
    if not _NO_IMAGES.search(f"{failure.text[:_MOST_TEXT]} {failure.param[:200]}"):
        return failure
    return replace(failure, kind=Kind.IMAGES)
