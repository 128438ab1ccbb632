"""Sounds for tests: WAV files of one value."""

import io
import wave

from rlm_jupyter.models import Audio


def sound(value: int = 0, seconds: float = 2.0) -> Audio:
    """Returns as many seconds of a value, 8,000 bytes each."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 1, 8_000, 0, "NONE", None))
        file.writeframes(bytes([value]) * int(8_000 * seconds))
    return Audio(stream.getvalue(), "wav", seconds)
