"""What the magics hold while the extension is loaded; their modules share it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from rlm_jupyter.magics.config import MagicsConfig

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.conversation.conversation import Chat
    from rlm_jupyter.engine.run.run import Run


class MagicsState(MagicsConfig):
    """The settings of `%config RLMMagics`, the shell, and the runs that were started in it.

    Attributes:
        shell: of IPython.
        runs: that were started here; ended when the extension is unloaded.
        following: what follows a background run; held so that it is not collected.
        chat: the notebook's conversation; None before the first `%%rlm --chat`.
        faces: what is shown of a run in the place of its own tree: that of its conversation.
    """

    shell: InteractiveShell
    runs: weakref.WeakSet[Run]
    following: set[Any]
    chat: Chat | None
    faces: weakref.WeakKeyDictionary[Run, Any]
