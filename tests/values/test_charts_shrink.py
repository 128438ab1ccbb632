"""Pictures made smaller: of every kind of pixels, into any room, and only what is a picture."""

import io
import os

import pytest
from PIL import Image, ImageDraw

from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.values.charts.png import rewrite
from rlm_jupyter.values.charts.shrink import _decode, compact, shrink, smaller


def drawing(size=(600, 320)):
    image = Image.new("RGBA", size, (255, 255, 255, 255))
    pen = ImageDraw.Draw(image)
    for n in range(6):
        pen.line([(40 * n, 300), (90 * n, 20 + 10 * n)], fill=(30 * n, 100, 200 - 20 * n, 255), width=3)
    pen.ellipse((400, 100, 500, 200), fill=(200, 30, 30, 128))
    return image


def file(image, **options):
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def read(png):
    return Image.open(io.BytesIO(png))


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L", "LA", "P", "1"])
@pytest.mark.parametrize("noise", [False, True])
def test_each_kind_of_pixels_is_read_as_pillow_reads_it(mode, noise):
    image = drawing() if not noise else Image.frombytes("RGBA", (90, 70), os.urandom(4 * 90 * 70))
    image = image.convert(mode)
    whole = rewrite(file(image), max_bytes=10**7)
    assert _decode(whole.png).tobytes() == image.convert("RGBA").tobytes()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_of_few_bits_are_read(bits):
    image = drawing().convert("RGB").quantize(1 << bits)
    whole = rewrite(file(image, bits=bits), max_bytes=10**7)
    assert _decode(whole.png).tobytes() == image.convert("RGBA").tobytes()


@pytest.mark.parametrize("max_bytes", [20_000, 4_000, 1_500])
def test_a_picture_fits_into_the_room_that_there_is(max_bytes):
    made = shrink(file(drawing()), max_bytes=max_bytes)
    assert len(made.png) <= max_bytes
    shown = read(made.png)
    assert shown.size == (made.width, made.height)
    assert abs(made.width / made.height - 600 / 320) < 0.05
    center = shown.convert("RGBA").getpixel((made.width * 45 // 60, made.height * 15 // 32))
    assert center[0] > center[1] + 30, "the red disc is still red"


def test_what_fits_is_left_as_it_is():
    whole = rewrite(file(drawing()), max_bytes=10**6)
    assert shrink(file(drawing()), max_bytes=10**6) == whole


def test_a_wide_picture_is_made_narrower():
    assert shrink(file(drawing()), max_bytes=10**6, max_width=200).width == 200


def test_noise_that_fits_nowhere_is_none():
    assert shrink(file(Image.frombytes("RGB", (400, 400), os.urandom(480_000))), max_bytes=300) is None


def test_a_compact_picture_looks_the_same():
    whole = rewrite(file(drawing()), max_bytes=10**6)
    made = compact(whole)
    assert len(made.png) <= len(whole.png)
    pairs = zip(read(made.png).convert("RGBA").tobytes(), drawing().tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 8


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", file(Image.new("L", (3000, 3000)))])
def test_what_is_no_picture_or_too_large_is_refused(data):
    with pytest.raises(MalformedValueError):
        shrink(data, max_bytes=1000)
    assert smaller(data, max_bytes=1000) is None
