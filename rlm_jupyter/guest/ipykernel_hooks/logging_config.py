"""`logging.basicConfig` as cells use it.

Travels as source into any Python kernel: standard library only.
A first `logging.warning(...)` gives the root logger a handler of its own accord, after which a `basicConfig(...)`
with settings would do nothing. In a script that is one order of lines; in cells it is hours apart.
"""

import functools
import logging
from typing import Any


def install() -> None:
    """Let `basicConfig(...)` with settings take the place of the handler that logging itself put there."""
    configure = logging.basicConfig
    own: list[logging.Handler] = []

    @functools.wraps(configure)
    def basic_config(**settings: Any) -> None:
        root = logging.getLogger()
        if settings and own and root.handlers == own:
            root.removeHandler(own[0])
        bare = not root.handlers and not settings
        configure(**settings)
        own[:] = root.handlers if bare else []

    logging.basicConfig = basic_config
