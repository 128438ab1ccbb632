"""Fuzz the decoder of values with atheris, guided by coverage: `python tests/fuzz/codec.py -max_total_time=300`.

What a kernel sends may be forged. Whatever its bytes are, decoding them raises `Malformed` or `Refused`, or gives plain
data that can be described and encoded again; nothing is executed, and nothing crashes. Arguments are libFuzzer's.
"""

import json
import os
import random
import sys
import tempfile
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "support"), str(TESTS / "values")]

with atheris.instrument_imports(include=["rlm_jupyter.values"]):
    from rlm_jupyter.values.codec import api as codec
    from rlm_jupyter.values.codec import container
    from rlm_jupyter.values.describe import api as describe
from test_values_hostile import BOMBS, GOOD, forge, mutate, raw  # noqa: E402 - found by the path set above

FORBIDDEN = (
    "os.", "subprocess.", "socket.", "pickle.find_class", "ctypes.dlopen", "shutil.", "pty.",
)  # fmt: skip
HARMLESS = {"os.listdir", "os.scandir", "os.memfd_create"}
_armed = []
_done = []


def watch(event, arguments):
    """Note what Python's audit tells while a value is decoded and only its sender's code would do."""
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if _armed and (writes or (event.startswith(FORBIDDEN) and event not in HARMLESS)):
        _done.append((event, str(arguments)[:300]))  # raised here, it would be taken for a malformed value


def decode(data):
    """Decode the bytes of one file, as the notebook does."""
    fd = raw(data)
    try:
        _armed.append(True)
        return codec.load(fd, allow_pickle=False, max_bytes=1 << 24)
    finally:
        _armed.clear()
        os.close(fd)


def once(data):
    """Judge one input."""
    try:
        value = decode(data)
    except (codec.Malformed, codec.Refused):
        return
    finally:
        assert not _done, _done
    json.dumps(describe.describe(value))
    try:
        fd, kind = codec.dump(value, allow_pickle=False)
    except (
        codec.Unencodable
    ):  # such as a table that nobody could have made with the library's own constructors
        return
    assert kind == "safe"
    try:
        codec.load(fd, allow_pickle=False)
    finally:
        os.close(fd)


def change(data, most, seed):
    """Change the structure of a value three times of four, and its bytes otherwise."""
    chance = random.Random(seed)
    if chance.random() < 0.25:
        return atheris.Mutate(data, most)
    try:
        fd = raw(data)
        try:
            opened = container.Container(fd)
            head = json.loads(bytes(opened.head).decode("utf-8", "surrogatepass"))
            for _ in range(chance.randint(1, 3)):
                head = mutate(chance, head)
            made = forge(head, [opened.buffer(index) for index in range(opened.count)])
        finally:
            os.close(fd)
        changed = _bytes(made)
        return changed if len(changed) <= most else atheris.Mutate(data, most)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return atheris.Mutate(data, most)


def _bytes(fd):
    try:
        return os.pread(fd, codec.size(fd), 0)
    finally:
        os.close(fd)


def seeds():
    """Returns the values that the tests send and the forgeries that they refuse."""
    return [*GOOD.values(), *(_bytes(forge(head, buffers)) for head, buffers in BOMBS.values())]


def main():
    """Fuzz until the time is over or something is found."""
    sys.addaudithook(watch)
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(seeds()):
            if len(data) < 1 << 16:
                Path(corpus, str(number)).write_bytes(data)
            try:  # what is imported when it is first needed is imported now
                decode(data)
            except (codec.Malformed, codec.Refused):
                continue
        _done.clear()
        atheris.Setup(
            [*sys.argv, "-max_len=65536", "-timeout=20", "-rss_limit_mb=4096", corpus],
            once,
            custom_mutator=change,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
