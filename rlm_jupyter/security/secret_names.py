"""Tells which values of an environment are secrets, by whole words of their names and by how the values look.

A secret that is overlooked stands in a log; a word that is taken for one destroys it. What may be a secret is
therefore a matter of both: see `docs/sandbox.md`.
"""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from collections.abc import Iterator, Mapping

_PASSWORDS = frozenset({"PASS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "PASSCODE", "PWD", "PIN"})
_SECRETS = _PASSWORDS | {
    *(
        "KEY",
        "KEYS",
        "APIKEY",
        "TOKEN",
        "TOKENS",
        "SECRET",
        "SECRETS",
        "CREDENTIAL",
        "CREDENTIALS",
        "CREDS",
        "JWT",
    ),
    *(
        "AUTH",
        "AUTHORIZATION",
        "AUTHENTICATION",
        "BEARER",
        "WEBHOOK",
        "COOKIE",
        "COOKIES",
        "DSN",
        "SK",
        "PAT",
    ),
}
_ENDINGS = ("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "ACCESSKEY", "SECRETKEY")
"""Of words that are written together, as in `PGPASSWORD`; `KEY` alone would be that of a monkey."""
_PLACES = frozenset({"WEBHOOK", "DSN"})
"""Names whose values are secret addresses."""
_NO_SECRETS = frozenset({"PWD", "OLDPWD"})

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PASSWORD_IN_URL = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_DEFAULT = re.compile(r"[A-Z]?[a-z]{1,12}|[A-Z]{1,12}")
"""A word in the place of a password, as in `postgres:postgres@`: it protects nothing, and texts are full of it."""
_PATH = re.compile(r"~?/|\.{1,2}[/\\]|[A-Za-z]:[/\\]|%\w+%|\$\w+[/\\]")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_KNOWN = re.compile(
    r"(?:sk|pk|rk|gsk|xai|hf|nvapi|csk|pplx|ghp|gho|ghs|ghu|github_pat|glpat|xox[abeoprs])[-_][\w.-]{12,}"
    r"|AIza[\w-]{30,}|(?:AKIA|ASIA)[A-Z0-9]{16}|eyJ[\w-]{8,}\.eyJ[\w-]+\.[\w-]*"
)
"""The shapes of keys that are secret whatever their variable is called."""

_SHORTEST_PASSWORD, _SHORTEST_KEY = 6, 8
_FEW_DIGITS = 12
_FEW_DIGITS_OF_PASSWORDS = 8
_BITS = 40.0
_BITS_OF_WORD, _BITS_OF_NUMBER, _BITS_OF_CHARACTER = 6.0, 8.0, 5.2
_LONGEST_ABBREVIATION = 4
_LEAST_IN_CAMEL_CASE = 3.0
_LONG_WITHOUT_WORDS = 16
_PASSPHRASE_WORDS = 3
_CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]{5,}")
_RARE, _RARE_IN_KEYS = "jqxzwvk", 0.12
_PIECES = re.compile(r"[^\W_]+|[^\w\s.,:;/'-]")


def secrets_in(environment: Mapping[str, str], *, handed: bool = False) -> Iterator[str]:
    """Yields the values that are secret by their names and looks, and the passwords in URLs.

    Args:
        environment: names and values.
        handed: whether the user handed these over, so that code will see them. Then a value whose name ends in a word
            such as `PASSWORD` or `KEY` is secret even where it is an ordinary word, and any other value that looks
            like a key is.
    """
    for name, value in environment.items():
        if name not in _NO_SECRETS and _is_secret(name, value.strip(), handed=handed):
            yield value
        for password in _PASSWORD_IN_URL.findall(value):
            if not _DEFAULT.fullmatch(password):
                yield password
                yield urllib.parse.unquote(password)


def _is_secret(name: str, value: str, *, handed: bool) -> bool:
    words = [word.upper() for word in _WORD.findall(name) if not word.isdigit()]
    named = [word for word in words if word in _SECRETS or word.endswith(_ENDINGS)]
    if _KNOWN.fullmatch(value):
        return True
    if not (named or handed):
        return False
    # A path, such as that of a socket or of a file of keys, is a place and no secret.
    if _PATH.match(value) or (_ADDRESS.match(value) and not _PLACES.intersection(words)):
        return False
    last = words[-1] if words else ""
    is_password = last in _PASSWORDS or last.endswith(("PASSWORD", "PASSWD", "PASSPHRASE"))
    if handed and last in named:
        return len(value) >= (_FEW_DIGITS_OF_PASSWORDS if _is_number(value) else _SHORTEST_PASSWORD)
    return looks_secret(value, password=is_password)


def looks_secret(value: str, *, password: bool = False) -> bool:
    """Returns whether a text can be a secret: no word of a language, no number of few digits, and not short.

    Args:
        value: the text.
        password: whether people chose it, by its name: then six characters with a digit or a sign are enough, and so
            are some words in a row.
    """
    if _is_number(value):
        return value.isdigit() and len(value) >= _FEW_DIGITS
    if len(value) < (_SHORTEST_PASSWORD if password else _SHORTEST_KEY):
        return False
    pieces = _PIECES.findall(value)
    bits = [_bits(piece) for piece in pieces]
    if all(piece.isalpha() and cost == _BITS_OF_WORD for piece, cost in zip(pieces, bits, strict=True)):
        return password and len(pieces) >= _PASSPHRASE_WORDS and len(value) >= _LONG_WITHOUT_WORDS
    return password or sum(bits) >= _BITS


def _is_number(value: str) -> bool:
    """Returns whether it is a number, a date, a time, a version: digits and what stands between them."""
    return bool(re.fullmatch(r"[\d\s.,:+_/%-]*|[+-]?[\d.]+[eE][+-]?\d+", value))


def _bits(piece: str) -> float:
    """Estimate how hard a piece without separators is to guess."""
    if piece.isdigit():
        return min(_BITS_OF_NUMBER, 3.3 * len(piece)) if len(piece) < _FEW_DIGITS else 3.3 * len(piece)
    letters, digits = piece.rstrip("0123456789"), len(piece) - len(piece.rstrip("0123456789"))
    if letters.isalpha() and digits <= 6 and _are_words(letters):  # noqa: PLR2004 - `sha256`, `order2024`, `ed25519`
        return _BITS_OF_WORD + (3.3 if digits else 0.0)
    return _BITS_OF_CHARACTER * len(piece)


def _are_words(letters: str) -> bool:
    """Returns whether letters are a word, an abbreviation, or some of them written together."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", letters) if not unicodedata.combining(c))
    if not plain.isascii():
        return True  # of another script
    parts = _WORD.findall(plain)
    if len(plain) / len(parts) < _LEAST_IN_CAMEL_CASE and len(parts) > 1:
        return False
    return all(_is_word(part.lower()) for part in parts)


def _is_word(part: str) -> bool:
    if len(part) <= _LONGEST_ABBREVIATION:
        return True
    # Compounds have many consonants in a row, and few of the letters that are rare in languages and common in keys.
    rare = sum(map(part.count, _RARE))
    if len(part) >= _LONG_WITHOUT_WORDS and _CONSONANTS.search(part) and rare >= _RARE_IN_KEYS * len(part):
        return False
    return not set("aeiouy").isdisjoint(part)
