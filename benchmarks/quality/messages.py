"""Messages of customers whose subject has to be judged: no word of the subject's name stands in them."""

from __future__ import annotations

from random import Random

LABELS = ("billing", "delivery", "quality", "praise")

_THINGS = ["lamp", "kettle", "backpack", "chair", "blender", "tent", "jacket", "printer"]
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "billing": (
        "You charged my card twice for the {thing}.",
        "The invoice for the {thing} shows the wrong amount.",
        "I returned the {thing} weeks ago and still wait for my money back.",
        "Why was there an extra fee of {n} euros on my statement?",
        "The discount code was not taken off the price of the {thing}.",
        "My account was debited {n} euros although I cancelled the order of the {thing}.",
    ),
    "delivery": (
        "The {thing} was promised for Monday and is still not here.",
        "Tracking has said 'in transit' for {n} days now.",
        "The courier left the parcel with the {thing} at the wrong house.",
        "Where is my {thing}? I ordered it {n} days ago.",
        "The driver did not ring and took the {thing} back to the depot.",
        "My parcel seems to be lost somewhere on its way to me.",
    ),
    "quality": (
        "The {thing} fell apart after {n} days of use.",
        "A seam of the {thing} was torn when I first used it.",
        "The {thing} makes a loud noise and smells of burnt plastic.",
        "The colour of the {thing} came off in the rain.",
        "The switch of the {thing} stopped working within {n} days.",
        "The handle of the {thing} is loose and cannot be tightened.",
    ),
    "praise": (
        "I love the {thing}, my whole family uses it.",
        "Best {thing} I have ever owned, thank you!",
        "Great service, I will certainly order again.",
        "The {thing} is even nicer than in the pictures.",
        "After {n} months the {thing} still works like new, wonderful.",
        "Your team was so kind and helpful, five stars from me.",
    ),
}


def message(random: Random, label: str) -> str:
    """Returns a message about the subject `label`."""
    template = random.choice(_TEMPLATES[label])
    return template.format(thing=random.choice(_THINGS), n=random.randint(2, 40))
