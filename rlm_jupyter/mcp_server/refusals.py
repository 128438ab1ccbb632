"""What a client of the server is refused, in words that name no path of this machine."""

from __future__ import annotations

from rlm_jupyter.errors import RLMError

NO_FILE = (
    "There is no such file for this server. It opens regular files below its roots, by a path relative to one of "
    "them or a `file:` URL; not hidden ones, not by links, and not by `..`."
)
"""The same for what does not exist and for what is not allowed: a client learns nothing of other files."""


class RequestRefusedError(RLMError):
    """A request that the server does not serve; the message says why, and what to ask instead.

    Attributes:
        reason: for the audit log, where the message does not say it.
    """

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
