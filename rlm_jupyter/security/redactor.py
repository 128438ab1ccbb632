"""Keeps secrets out of what is told: the log, the tree, the views."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator

from rlm_jupyter.text.shorten import CUT_END, CUT_NOTICE

MARK = "«redacted»"
SHORTEST = 6
"""Characters. What is shorter (`1`, `true`, `prod`) keeps no secret, and replacing it would ruin the text."""
SHORTEST_ENCODED = 8
"""Characters of a secret that is looked for encoded, too: code prints `base64.b64encode(key)` as easily as the key."""

ELLIPSIS = "…"
"""Ends what a kernel made short: the texts of a description, in which no place of a cut can be counted."""
_CUT = re.compile(f"(…| ?{CUT_NOTICE} ?)")
"""Where a text was cut; a text that only says so loses no more than what looks like a part of a secret beside it."""


def _forms(secret: str) -> Iterator[str]:
    """Yields a secret as it looks in JSON, in a Python literal, in a URL and in HTML."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield html.escape(secret)
    with_lone_surrogates = secret.encode("utf-8", "surrogatepass")
    for quoted in (
        urllib.parse.quote(with_lone_surrogates, safe=""),
        urllib.parse.quote(with_lone_surrogates),
    ):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda match: match.group().lower(), quoted)
    yield urllib.parse.quote_plus(with_lone_surrogates)


def _encoded(secret: str) -> Iterator[str]:
    """Yields a secret as code may have changed it: in base64, in hexadecimal digits, reversed."""
    raw = secret.encode("utf-8", "surrogatepass")
    for alphabet in (b"+/", b"-_"):
        whole = base64.b64encode(raw, alphabet).decode()
        yield whole
        yield whole.rstrip("=")
        for before in range(3):  # within a longer text it begins at any of three places of a group of four
            coded = base64.b64encode(b"\0" * before + raw, alphabet).decode()
            yield coded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
    yield raw.hex()
    yield raw.hex().upper()
    yield secret[::-1]


def _without_beginning(secrets: Iterable[str], text: str) -> str:
    """Take the beginning of a secret from a text's end."""
    for secret in secrets:
        start = text.find(secret[:SHORTEST], max(0, len(text) - len(secret)))
        while start >= 0:
            if secret.startswith(text[start:]):
                return text[:start] + MARK
            start = text.find(secret[:SHORTEST], start + 1)
    return text


def _beginning_at_end(form: str, text: str) -> int:
    """Returns how much of a text's end is the beginning of a secret, but not all of it."""
    start = text.find(form[0], max(0, len(text) - len(form) + 1))
    while start >= 0:
        if form.startswith(text[start:]):
            return len(text) - start
        start = text.find(form[0], start + 1)
    return 0


def _without_end(secrets: Iterable[str], text: str) -> str:
    """Take the end of a secret from a text's beginning."""
    for secret in secrets:
        start = text.rfind(secret[-SHORTEST:], 0, len(secret))
        while start >= 0:
            if secret.endswith(text[: start + SHORTEST]):
                return MARK + text[start + SHORTEST :]
            start = text.rfind(secret[-SHORTEST:], 0, start + SHORTEST - 1)
    return text


class Redactor:
    """Replaces each secret in a text by `«redacted»`, however it is escaped there.

    Where a text was cut, a part of a secret of six characters or more beside the cut is replaced too: at each ``…``
    and each ``[... 12 characters cut ...]``, and between the two parts of a text that are given to `ends`.
    A secret of fewer than six characters is not looked for. One of eight or more is recognised in base64, in
    hexadecimal and reversed too. One that code changed in another way is not: keys are kept out of agents' kernels
    for that reason.

    Args:
        secrets: keys, passwords, tokens; blank ones are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        kept = {secret.strip() for secret in secrets}
        forms = {form for secret in kept if len(secret) >= SHORTEST for form in _forms(secret)}
        forms |= {form for secret in kept if len(secret) >= SHORTEST_ENCODED for form in _encoded(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._forms = tuple(longest_first)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """Returns the text without the secrets."""
        # To look for each form is many times quicker than the pattern, and most texts have none.
        if self._pattern is not None and any(form in text for form in self._forms):
            text = self._pattern.sub(MARK, text)
        if self._forms and (ELLIPSIS in text or CUT_END in text):
            pieces = _CUT.split(text)
            pieces[::2] = self._without_parts(pieces[::2])  # between them are the marks of the cuts
            return "".join(pieces)
        return text

    def ends(self, head: str, tail: str) -> tuple[str, str]:
        """Returns the two ends of a text that was cut between them, without secrets and parts of such.

        Args:
            head: up to the cut.
            tail: from the cut on; it may be empty.
        """
        head, tail = self._without_parts([self(head), self(tail)])
        return head, tail

    def _without_parts(self, pieces: list[str]) -> list[str]:
        """Take out what is left of secrets that were cut, between each piece of a text and the next."""
        forms = [f for f in self._forms if any(f[:SHORTEST] in p or f[-SHORTEST:] in p for p in pieces)]
        if not forms:
            return pieces
        last = len(pieces) - 1
        cut = [_without_beginning(forms, p) if n < last else p for n, p in enumerate(pieces)]
        return [_without_end(forms, p) if n else p for n, p in enumerate(cut)]

    def open_end(self, text: str) -> int:
        """Returns how many characters at the end of a piece of text may be the beginning of a secret."""
        return max((_beginning_at_end(form, text) for form in self._forms), default=0)

    def __repr__(self) -> str:
        return "Redactor(…)"  # never what it knows


def redact_ends(redact: Callable[[str], str], head: str, tail: str) -> tuple[str, str]:
    """Take secrets out of the two ends of a text that was cut between them; see `Redactor.ends`.

    Args:
        redact: a `Redactor`; anything else knows no parts of secrets, and gets each end by itself.
        head: up to the cut.
        tail: from the cut on.
    """
    return redact.ends(head, tail) if isinstance(redact, Redactor) else (redact(head), redact(tail))
