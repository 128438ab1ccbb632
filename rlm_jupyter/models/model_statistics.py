"""What this process has learnt of each model by asking it: its tokens a text, and how fast its server reads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.reading_rate import ReadingRate
from rlm_jupyter.models.token_ratio import TokenRatio

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel

_MOST_MODELS: Final = 200


class ModelStatistics:
    """Of one model at one server.

    Attributes:
        ratio: tokens of texts.
        reading: tokens of prompts a second.
        refuses_images: whether it, or its server, has refused images.
    """

    def __init__(self) -> None:
        self.ratio = TokenRatio()
        self.reading = ReadingRate()
        self.refuses_images = False


_known: OrderedDict[tuple[str, str], ModelStatistics] = OrderedDict()
_lock = threading.Lock()


def statistics_of(model: ChatModel) -> ModelStatistics:
    """Returns what is known of a model, by its name and its server's address; nothing is, of a new one."""
    key = (str(getattr(model, "base_url", "")), model.name)
    with _lock:
        found = _known.setdefault(key, ModelStatistics())
        _known.move_to_end(key)
        while len(_known) > _MOST_MODELS:
            _known.popitem(last=False)
        return found
