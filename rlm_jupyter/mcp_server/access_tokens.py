"""The tokens of a server's clients: where they are read, and whose a request has."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from rlm_jupyter.errors import ConfigError

MCP_TOKENS = "RLM_MCP_TOKEN"
"""Environment variable with the tokens, one for each client, separated by spaces."""
_SHORTEST = 20
_WORD = re.compile(r"[\x21-\x7e]+")


def whose_token(authorization: bytes, tokens: Mapping[str, str]) -> str | None:
    """Returns whose token a request has; None for nobody's. All are compared, in the same time.

    Args:
        authorization: the header's value, `Bearer TOKEN`.
        tokens: by what their clients are called.
    """
    if authorization[:7].lower() != b"bearer ":
        return None
    found = None
    for name, token in tokens.items():
        if hmac.compare_digest(authorization[7:].strip(), token.encode()):
            found = name
    return found


def read_tokens(file: str | None, variable: str = MCP_TOKENS) -> tuple[dict[str, str], bool]:
    """Returns the tokens by what their clients are called, and whether one was made just now.

    They are taken from a file, else from the environment; a file that is not there is written, for its owner only.

    Args:
        file: its path, with one token on each line; None for the environment.
        variable: of the environment, with the tokens separated by spaces.

    Raises:
        ConfigError: a token is short, or the file cannot be read or written.
    """
    if file is not None:
        path = Path(file).expanduser()
        try:
            if not path.exists():
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(fd, "w") as written:
                    written.write(f"{secrets.token_urlsafe(32)}\n")
            words = path.read_text("ascii").split()
        except (OSError, UnicodeError) as error:
            raise ConfigError(
                f"The file of tokens `{file}` cannot be used: {type(error).__name__}."
            ) from None
    else:
        words = os.environ.get(variable, "").split()
        if not words:
            return {"client-1": secrets.token_urlsafe(32)}, True
    if not words or any(len(word) < _SHORTEST or not _WORD.fullmatch(word) for word in words):
        raise ConfigError(
            f"A token has at least {_SHORTEST} characters: make one by "
            "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`."
        )
    return {f"client-{number}": word for number, word in enumerate(dict.fromkeys(words), 1)}, False
