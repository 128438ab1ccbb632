"""Images of agents' code as PNG files: what is taken, how large it may be, and what is refused with which reason."""

import base64
import io
import struct
import subprocess
import sys
import zlib

import altair as alt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from rlm_jupyter.engine.agent_requests.received_images import load_images
from rlm_jupyter.errors import MalformedValueError, RLMError
from rlm_jupyter.guest import image_files
from rlm_jupyter.guest.image_files import MOST_BYTES, MOST_PIXELS, MOST_TOGETHER, encode_images
from rlm_jupyter.values.store import Buffer

RED = (255, 0, 0)


def written(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def read(png):
    return Image.open(io.BytesIO(png))


def noise(width, height):
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def loaded(files):
    with Buffer.encode(files) as buffer:
        return load_images(buffer)


def test_each_kind_of_image_becomes_a_file_that_shows_the_same(tmp_path):
    image = Image.new("RGB", (6, 4), RED)
    path = tmp_path / "scan.jpg"
    path.write_bytes(written(image, "JPEG", quality=95))
    stream = io.BytesIO()
    image.save(stream, "PNG")  # its position is at its end, as where code has just written into it
    with path.open("rb") as file:
        kinds = [
            image,
            np.asarray(image),
            written(image),
            written(image, "WEBP", lossless=True),
            path,
            file,
            stream,
        ]
        kinds += [bytearray(written(image, "GIF")), memoryview(written(image, "TIFF"))]
        files = encode_images(kinds)
    assert [made.size for made in map(read, files)] == [(6, 4)] * len(kinds)
    for made in map(read, files):
        assert np.abs(np.asarray(made.convert("RGB"), int) - RED).max() <= 3
    assert [(made.width, made.height) for made in loaded(files)] == [(6, 4)] * len(kinds)
    assert encode_images(image) == encode_images([image])


def test_a_figure_is_drawn_and_one_that_cannot_be_says_so():
    figure = Figure()
    figure.subplots().plot([1, 2])
    (png,) = encode_images([figure])
    assert read(png).width > 300
    assert loaded([png])[0].width == read(png).width
    with pytest.raises(TypeError, match=r"`images\[0\]` is a figure of altair.*matplotlib"):
        encode_images([alt.Chart(pd.DataFrame({"a": [1]})).mark_point().encode(x="a")])


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"]
)
def test_images_of_all_modes_are_taken(mode):
    assert loaded(encode_images([Image.new(mode, (5, 3))]))[0].height == 3


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.arange(12, dtype=np.uint8).reshape(3, 4, 1),
        np.arange(36, dtype=np.uint8).reshape(3, 4, 3),
        np.arange(48, dtype=np.uint8).reshape(3, 4, 4),
        np.arange(24, dtype=np.uint8).reshape(4, 6).T[::2, ::-1],
    ],
    ids=["grey", "one value", "colours", "transparency", "strides"],
)
def test_arrays_keep_each_pixel(array):
    assert (np.asarray(read(encode_images([array])[0])) == array.reshape(np.squeeze(array).shape)).all()


def test_truth_values_are_black_and_white():
    assert np.asarray(read(encode_images([np.eye(3, dtype=bool)])[0])).tolist() == [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
    ]


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((3, 4)), r"`float64`.*uint8"),
        (np.zeros((3, 4), np.uint16), r"`uint16`.*uint8"),
        (np.zeros((3, 4, 7), np.uint8), r"shape \(3, 4, 7\)"),
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
    ],
)
def test_other_arrays_are_refused_with_what_to_do(array, why):
    with pytest.raises((TypeError, ValueError), match=why):
        encode_images([array])


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("https://host.example/a.png", "is an address, and nothing is fetched"),
        (" HTTP://host.example/a.png", "is an address"),
        ("file:///etc/passwd", "is an address"),
        ("data:image/png;base64,iVBORw0KGgo=", "`data:` URI: give the bytes"),
        ("scan.png", r"is a `str`: give `pathlib.Path"),
        (7, "is a `int`"),
        (None, "is a `NoneType`"),
        ({"a": 1}, "is a `dict`"),
        (io.StringIO("text"), "read as text"),
        (b"", "cannot be read as an image"),
        (b"%PDF-1.7 ...", "cannot be read as an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be read as an image"),
        (b"\x89PNG\r\n\x1a\n", "not a whole PNG file"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(item, why):
    with pytest.raises((TypeError, ValueError), match=why):
        encode_images([np.zeros((2, 2), np.uint8), item])


def test_a_missing_file_is_an_error_of_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        encode_images([tmp_path / "none.png"])


def test_too_many_images_are_refused_and_as_many_as_are_allowed_fit_together():
    small = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="21 images; the most of one prompt is 20"):
        encode_images([small] * 21)
    files = encode_images([noise(1100, 900)] * 20)
    assert sum(map(len, files)) <= MOST_TOGETHER
    assert len(loaded(files)) == 20


@pytest.mark.parametrize("size", [(5000, 4000), (60_000, 3), (3, 60_000)], ids=["large", "wide", "high"])
@pytest.mark.parametrize("kind", ["array", "PIL", "PNG", "JPEG"])
def test_a_large_image_is_made_smaller_in_the_same_shape(size, kind):
    array = np.full((size[1], size[0], 3), 200, np.uint8)
    image = Image.fromarray(array)
    (png,) = encode_images(
        [{"array": array, "PIL": image}.get(kind) if kind in ("array", "PIL") else written(image, kind)]
    )
    made = loaded([png])[0]
    assert made.width * made.height <= MOST_PIXELS
    assert max(made.width, made.height) <= 8000
    if size[1] == 4000:
        assert made.width * made.height > MOST_PIXELS / 2
        assert made.width / made.height == pytest.approx(1.25, rel=0.01)
    assert abs(int(np.asarray(read(png).convert("L")).mean()) - 200) <= 2


def test_a_file_that_does_not_compress_is_made_smaller_until_it_fits():
    (png,) = encode_images([noise(1600, 1400)])
    assert MOST_BYTES / 8 < len(png) <= MOST_BYTES


def test_a_photograph_is_turned_as_its_camera_says_and_keeps_nothing_else():
    image = Image.new("RGB", (8, 4), RED)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home: 52.5N"
    data = written(image, "JPEG", exif=exif)
    for item in (data, Image.open(io.BytesIO(data))):
        (png,) = encode_images([item])
        assert read(png).size == (4, 8)
        assert b"home" not in png


def test_a_file_with_interlaced_pixels_is_written_in_order():
    # 8 x 8 grey pixels in Adam7's seven passes
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    data = b"".join((b"\0" + b"\x80" * width) * height for width, height in passes)
    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )
    assert np.asarray(read(png)).mean() == 128
    assert loaded(encode_images([png]))[0].width == 8


def test_what_pillow_takes_for_a_bomb_is_refused():
    png = written(Image.new("L", (20_000, 20_000)))
    with pytest.raises(ValueError, match="cannot be read as an image"):
        encode_images([png])


def test_png_files_and_arrays_need_no_pillow_and_others_say_that_they_do(monkeypatch):
    png = written(Image.new("RGB", (6, 4), RED))
    jpeg = written(Image.new("RGB", (6, 4), RED), "JPEG")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert encode_images([png]) == [png]
    assert len(encode_images([np.zeros((4000, 4000), np.uint8)])) == 1
    with pytest.raises(ValueError, match="Pillow, which is not installed"):
        encode_images([jpeg])


def test_nothing_is_imported_before_an_image_needs_it():
    code = (
        "import sys, rlm_jupyter.guest.image_files; print({'PIL', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


GOOD = encode_images([np.zeros((4, 4), np.uint8)])[0]


def crafted(width, height, pixels=b"", depth=8, kind=0):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "value",
    [
        [],
        [GOOD] * 21,
        GOOD,
        {"a": GOOD},
        (GOOD,),
        [base64.b64encode(GOOD).decode()],
        [7],
        [GOOD, "https://host.example/a.png"],
        [b"not a picture"],
        [GOOD[:-20]],
        [crafted(60_000, 60_000, b"\0" * 1000)],
        lambda: [crafted(2, 2, b"\0" * 50_000_000)],
        [crafted(4, 4, b"\0" * 3)],
        [crafted(2, 2, b"\x09\0\0" * 2)],
        [crafted(9000, 1, b"\0" * 9001)],
        [crafted(0, 5)],
        lambda: [b"\0" * (MOST_TOGETHER + MOST_TOGETHER // 5)],
        lambda: [crafted(1200, 1200, np.random.default_rng(1).bytes(1200 * 1201))] * 19,
    ],
    ids=[
        "none", "too many", "bytes", "a dict", "a tuple", "base64", "a number", "an address", "not a picture", "cut", "a bomb",
        "more pixels than told", "fewer pixels than told", "an unknown filter", "too wide", "no width", "too many bytes",
        "too many bytes together",
    ],
)  # fmt: skip
def test_what_a_kernel_sends_in_the_place_of_images_is_refused_by_the_notebook(value):
    if callable(value):  # large ones are not made by each process that collects tests
        value = value()
    with pytest.raises(RLMError):
        loaded(value)


def test_the_notebook_writes_each_file_anew_without_what_is_no_pixel():
    extra = b"tEXtComment\0secret"
    chunk = struct.pack(">I", len(extra) - 4) + extra + struct.pack(">I", zlib.crc32(extra))
    made = loaded([GOOD[:33] + chunk + GOOD[33:]])[0]
    assert b"secret" not in made.png
    assert (np.asarray(read(made.png)) == 0).all()


def test_pickled_values_are_never_read_as_images():
    with Buffer.encode([image_files._chunk, lambda: 1]) as buffer, pytest.raises(RLMError) as caught:
        load_images(buffer)
    assert not isinstance(caught.value, MalformedValueError)
