"""Keys out of messages: what a provider says is shown, but never with a key in it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from rlm_jupyter.models.openai.chat_replies import clean_text
from rlm_jupyter.text.shorten import cut_end

MASK: Final = "***"
_SHORTEST_SECRET: Final = 8
# The shapes of keys of the known providers; `Bearer` and `Basic` name what follows them as secret. What has no digit,
# no asterisk and neither a capital nor a full stop in its middle is words, as in
# `Bearer authentication` or `key-value-store`.
_NO_WORDS: Final = r"(?=[^\s,;]*(?:[\d*=+/]|\.\w|[a-z][A-Z]|[A-Z]{2}[a-z]))"
_KEY: Final = re.compile(
    r"\b(?:sk|rk|gsk|xai|hf|nvapi|csk|pplx)[-_][\w*.\-]{6,}"
    rf"|\b(?:pk|fw|tgp|r8|key)[-_]{_NO_WORDS}[\w*.\-]{{6,}}"
    r"|\bAIza[\w*\-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bya29\.[\w\-.]{16,}"
    rf"|(?<=Bearer ){_NO_WORDS}[^\s,;]+|(?<=Basic ){_NO_WORDS}[A-Za-z0-9+/=]{{8,}}"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def mask_keys(text: str, *secrets: str) -> str:
    """Replace `secrets`, and all that looks like a key, by `***`.

    A secret shorter than 8 characters (``"none"``, for servers that need no key) is none.
    """
    for secret in sorted((s for s in secrets if len(s) >= _SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _KEY.sub(MASK, text)


def quote(text: str, *secrets: str, limit: int = 300) -> str:
    """Returns a provider's text as one short line without keys and control characters; HTML gives nothing."""
    line = _CONTROL.sub(" ", clean_text(text)).strip()
    if line.startswith("<"):
        return ""
    line = mask_keys(line, *secrets)
    return cut_end(line, limit)


def sentence(said: str) -> str:
    """Returns what a provider said with a full stop at its end, unless it has its own."""
    return said if said.endswith((".", "!", "?", "…")) else f"{said}."


def quoted(said: str) -> str:
    """Returns what a provider said as a sentence of a message; nothing if it said nothing."""
    return f" It said: {sentence(said)}" if said else ""


def public_url(url: str) -> str:
    """Returns `url` without what may be secret in it: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a bracket that is not closed
        return "(not a URL)"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
