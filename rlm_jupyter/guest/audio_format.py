"""What a file of audio is and how long it may sound, read from its headers; nothing is decoded.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import struct

FORMATS = ("wav", "mp3")
_OTHERS = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"FORM": "AIFF",
    b"\x1aE\xdf\xa3": "WebM or Matroska",
    b"caff": "CAF",
}
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_MOST_CHUNKS = 100
_PLAIN = (1, 3, 6, 7, 0xFFFE)
"""Kinds of WAV files whose samples all have one size: PCM, floats, A-law, mu-law, and those that say more after it."""
_MOST_CHANNELS = 16
_LEAST_RATE, _MOST_RATE = 1_000, 384_000
_BITS = (8, 16, 24, 32, 64)
_ID3 = 10  # bytes of the head of a tag
_KILOBITS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Of a frame of MPEG-1, Layer III, and of MPEG-2 and 2.5, by the number in its head."""
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_LAYER_3 = 1
_MPEG_1 = 3
_MOST_STEPS = 700_000
"""Heads of frames that are read: all of a file of the largest size; what comes after them counts as no frame."""
_LEAST_BYTES = 1_000
"""Of a second: no frame has fewer than 8 kilobits."""


def read_audio(data: bytes, name: str) -> tuple[str, float]:
    """Returns the format of a file, one of `FORMATS`, and how many seconds it sounds at the most.

    Args:
        data: the file.
        name: what to call it in an error.

    Raises:
        ValueError: it is no WAV or MP3 file.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav", _wav_seconds(data, name)
    start = _after_tag(data)
    if _frame(data, start) is not None:
        return "mp3", _mp3_seconds(data, start)
    other = "M4A or MP4" if data[4:8] == b"ftyp" else _OTHERS.get(data[:4])
    what = f"is a {other} file" if other else "is neither a WAV nor an MP3 file"
    raise ValueError(f"`{name}` {what}: models take WAV and MP3 alone. Write it as WAV, such as by `wave`.")


def _wav_seconds(data: bytes, name: str) -> float:
    """Returns the seconds of a WAV file by the sizes that its head tells, as far as they can be true."""
    place, second = 12, 0
    for _ in range(_MOST_CHUNKS):
        if place + _CHUNK.size > len(data):
            break
        kind, size = _CHUNK.unpack_from(data, place)
        place += _CHUNK.size
        if kind == b"fmt ":
            second = _bytes_of_second(data, place, name)
        elif kind == b"data" and second:
            left = len(data) - place
            # Written to a pipe, a file tells 0 or the largest number: then all that is there counts.
            return (size if 0 < size <= left else left) / second
        place += size + size % 2
    raise ValueError(f"`{name}` is not a whole WAV file: it has no samples.")


def _bytes_of_second(data: bytes, place: int, name: str) -> int:
    if place + _FORMAT.size > len(data):
        raise ValueError(f"`{name}` is not a whole WAV file.")
    kind, channels, rate, _, _, bits = _FORMAT.unpack_from(data, place)
    if kind not in _PLAIN:
        raise ValueError(
            f"`{name}` is a WAV file of compressed samples: write it as PCM, such as by `wave`, or as MP3."
        )
    if not 0 < channels <= _MOST_CHANNELS or not _LEAST_RATE <= rate <= _MOST_RATE or bits not in _BITS:
        raise ValueError(
            f"`{name}` is a WAV file whose head cannot be true: {channels} channels, {rate} Hz, {bits} bits."
        )
    return int(channels * rate * bits // 8)


def _mp3_seconds(data: bytes, start: int) -> float:
    """Returns the seconds of an MP3 file, frame by frame; what is no frame counts as if it were the longest sound."""
    place, end, seconds, other = start, len(data), 0.0, 0
    if data[-128:-125] == b"TAG":
        end -= 128
    for _ in range(_MOST_STEPS):
        found = _frame(data, place)
        if found is None or place >= end:
            following = data.find(b"\xff", place + 1, end)
            following = end if following < 0 else following
            other += max(0, following - place)
            place = following
        else:
            size, sounds = found
            seconds += sounds
            place += size
        if place >= end:
            break
    return seconds + (other + max(0, end - place)) / _LEAST_BYTES


def _after_tag(data: bytes) -> int:
    """Returns where the frames of an MP3 file begin."""
    if data[:3] != b"ID3" or len(data) < _ID3:
        return 0
    size = 0
    for seven_bits in data[6:_ID3]:
        size = size << 7 | seven_bits & 0x7F
    return _ID3 + size


def _frame(data: bytes, place: int) -> tuple[int, float] | None:
    """Returns the bytes and the seconds of the frame at a place; None if there is none."""
    head = data[place : place + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:  # noqa: PLR2004 - as the format has it
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    kilobits, rate = head[2] >> 4, head[2] >> 2 & 3
    if layer != _LAYER_3 or version not in _RATES or not 0 < kilobits < 15 or rate == 3:  # noqa: PLR2004 - likewise
        return None
    hertz, first = _RATES[version][rate], version == _MPEG_1
    samples = 1152 if first else 576
    size = samples // 8 * 1000 * _KILOBITS[first][kilobits - 1] // hertz + (head[2] >> 1 & 1)
    return size, samples / hertz
