"""Audio of agents' code: which files are taken, how long they are said to be, and what is refused with which reason."""

import io
import struct
import wave

import pytest

from rlm_jupyter.engine.agent_requests.received_audio import load_audio
from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.guest import audio_files
from rlm_jupyter.guest.audio_files import MOST_TOGETHER, encode_audio
from rlm_jupyter.guest.audio_format import read_audio
from rlm_jupyter.values.store import Buffer


def wav(seconds=1.0, rate=16_000, channels=1, width=2):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(int(seconds * rate) * channels * width))
    return stream.getvalue()


def frames(number, head=b"\xff\xfb\x90\x00", size=417):
    """Frames of MPEG-1, Layer III, 128 kbit/s, 44.1 kHz: 1,152 samples each."""
    return (head + bytes(size - 4)) * number


def tagged(data, size=300):
    return b"ID3\x04\x00\x00" + bytes([0, 0, size >> 7, size & 127]) + bytes(size) + data


def loaded(files):
    with Buffer.encode(files) as buffer:
        return load_audio(buffer)


def test_each_kind_of_source_becomes_the_file_itself(tmp_path):
    path = tmp_path / "call.wav"
    path.write_bytes(wav())
    stream = io.BytesIO()
    stream.write(wav())
    with path.open("rb") as file:
        kinds = [wav(), bytearray(wav()), memoryview(wav()), path, file, stream]
        assert encode_audio(kinds) == [wav()] * 6
    assert encode_audio(wav()) == [wav()]
    (one,) = loaded([wav(2.5)])
    assert (one.format, one.seconds, one.data) == ("wav", 2.5, wav(2.5))


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (wav(3), 3),
        (wav(3, rate=44_100, channels=2, width=3), 3),
        (wav(3, rate=8_000, width=1), 3),
        # Written to a pipe: the head tells no size, or the largest number.
        (wav(3).replace(b"data" + struct.pack("<I", 96_000), b"data" + b"\xff" * 4), 3),
        (wav(3).replace(b"data" + struct.pack("<I", 96_000), b"data" + bytes(4)), 3),
        (wav(3).replace(b"data", b"LIST" + struct.pack("<I", 3) + b"abc\0data"), 3),
    ],
)
def test_the_seconds_of_a_wav_file_are_those_of_its_samples(data, seconds):
    assert read_audio(data, "a") == ("wav", pytest.approx(seconds))


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (frames(100), 100 * 1152 / 44_100),
        (tagged(frames(100)), 100 * 1152 / 44_100),
        (frames(100) + b"TAG" + bytes(125), 100 * 1152 / 44_100),
        (
            frames(50, b"\xff\xf3\x14\x00", 24),
            50 * 576 / 24_000,
        ),  # MPEG-2, 8 kbit/s: the fewest bytes of a second
        (frames(10) + frames(10, b"\xff\xfb\x14\x00", 96), 10 * 1152 / 44_100 + 10 * 1152 / 48_000),
    ],
)
def test_the_seconds_of_an_mp3_file_are_those_of_its_frames(data, seconds):
    assert read_audio(data, "a") == ("mp3", pytest.approx(seconds))


@pytest.mark.parametrize("junk", [bytes(5_000), b"\xff" * 5_000, b"\xff\xfb\xf0\x00" * 1_250])
def test_what_is_no_frame_counts_as_the_longest_sound_that_it_can_be(junk):
    assert read_audio(frames(10) + junk, "a")[1] == pytest.approx(10 * 1152 / 44_100 + 5, abs=0.5)


@pytest.mark.parametrize(
    ("given", "kind", "why"),
    [
        ("https://host.example/a.wav", TypeError, r"`audio\[0\]` is an address, and nothing is fetched"),
        ("data:audio/wav;base64,AAAA", TypeError, r"`data:` URI: give the bytes"),
        ("call.wav", TypeError, r"`str`: give `pathlib.Path"),
        (7, TypeError, r"`audio\[0\]` is a `int`; give the bytes"),
        (io.StringIO("x"), TypeError, r"read as text"),
        ([wav()] * 11, ValueError, r"`audio` has 11 files; the most of one prompt is 10"),
        (b"fLaC" + bytes(99), ValueError, r"is a FLAC file: models take WAV and MP3 alone"),
        (bytes(4) + b"ftypM4A " + bytes(99), ValueError, r"is a M4A or MP4 file"),
        (b"\xff\xf1\x50\x80" + bytes(99), ValueError, r"neither a WAV nor an MP3"),  # AAC
        (b"", ValueError, r"neither a WAV nor an MP3"),
        (b"ID3", ValueError, r"neither a WAV nor an MP3"),
        (tagged(b""), ValueError, r"neither a WAV nor an MP3"),
        (wav()[:30], ValueError, r"not a whole WAV"),
        (wav().replace(b"data", b"none"), ValueError, r"no samples"),
        (wav()[:20] + b"\x02\x00" + wav()[22:], ValueError, r"compressed samples"),
        (wav()[:24] + bytes(4) + wav()[28:], ValueError, r"cannot be true"),
        (bytes(MOST_TOGETHER + 1), ValueError, r"`audio\[0\]` has more than 14,000,000 bytes.*llm_query_batched"),
        ([wav(220)] * 2, ValueError, r"of the prompt takes more than 14,000,000 bytes"),
        (wav(8_000, rate=1_000, width=1), ValueError, r"takes 8,000 seconds; the most is 7,200"),
    ],
)  # fmt: skip
def test_what_is_no_audio_or_too_much_is_refused_with_what_to_do(given, kind, why):
    with pytest.raises(kind, match=why):
        encode_audio(given)


@pytest.mark.parametrize(
    "forged",
    [[], {"a": 1}, ["https://host.example/a.wav"], [wav(0.01)] * 11, [b"x"], [wav()[:30]], [bytes(16_000_000)]],
)  # fmt: skip
def test_a_kernel_that_sends_something_else_is_refused(forged):
    with pytest.raises(MalformedValueError):
        loaded(forged)


def test_a_file_larger_than_all_that_is_sent_is_not_read_whole(monkeypatch):
    monkeypatch.setattr(audio_files, "MOST_TOGETHER", 1_000)
    read = []

    class Counted:
        def read(self, size):
            read.append(size)
            return bytes(size)

    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        encode_audio(Counted())
    assert read == [1_001]
