"""Which models see, and what of the pictures of cells they are shown.

A picture goes with the observation of the cells that showed it, after its text, and leaves the chat with the next one:
what stays is the line on it in the text. So a chat does not grow by pictures, and a provider's prompt cache holds up to
the end of that text.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.images import Image
from rlm_jupyter.models.model_size import ServedModel
from rlm_jupyter.models.model_statistics import statistics_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.events.events import CellPicture
    from rlm_jupyter.models.base import ChatModel, Message

MOST_SHOWN: Final = 4
"""Pictures of one observation, the newest."""
REFUSED: Final = (
    "`{model}` does not take images: its agents go on without the pictures that their cells show. Set `see=False`, or "
    "choose a model that sees."
)


async def sees(given: bool | None, model: ChatModel) -> bool:
    """Returns whether a model is to be shown pictures: as set, else as it or its server on this machine says.

    Args:
        given: the setting `see`.
        model: which is asked.
    """
    if given is not None:
        return given
    if isinstance(told := getattr(model, "sees", None), bool):
        return told
    if not isinstance(model, ServedModel) or (server := await model.local_server()) is None:
        return False
    served = server.model(model.name)
    if served is None and len(server.models) == 1:  # which it serves under any name
        served = server.models[0]
    return served is not None and served.sees is True


def keep(agent: Agent, picture: CellPicture) -> None:
    """Keep a picture of a cell for the agent's next observation."""
    image = Image(base64.b64decode(picture.png), picture.width, picture.height)
    agent.pictures = [*agent.pictures, image][-MOST_SHOWN:]


def attach(agent: Agent) -> None:
    """Put the pictures of the last cells into the newest message of an agent's chat, if its model sees."""
    shown, agent.pictures = agent.pictures, []
    if shown and not statistics_of(agent.spec.model).refuses_images:
        agent.messages[-1] = {**agent.messages[-1], "images": tuple(shown)}


def detach(messages: list[Message]) -> int | None:
    """Take all pictures out of a chat; returns the place of the first message that had some, None if none had."""
    places = [place for place, message in enumerate(messages) if message.get("images")]
    for place in places:
        messages[place] = without_images(messages[place])
    return places[0] if places else None


def without_images(message: Message) -> Message:
    """Returns a message without its images."""
    return {"role": message["role"], "content": message["content"]}


def refused(agent: Agent) -> None:
    """Send no more pictures after a refusal: here, and for all agents of this process that ask the same model."""
    statistics_of(agent.spec.model).refuses_images = True
    agent.services.tell_once([REFUSED.format(model=agent.spec.model.name)])


def earlier_chat(messages: Sequence[Message]) -> list[Message]:
    """Returns the chat of an earlier run, without pictures."""
    return [without_images(message) if message.get("images") else message for message in messages]
