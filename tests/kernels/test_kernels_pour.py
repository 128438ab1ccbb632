"""A text goes through a pipe into the object that its reader keeps."""

import os
import threading

import pytest

from rlm_jupyter.guest import preloaded_data
from rlm_jupyter.kernels.launch.pipe_text import write_text_to_pipe


@pytest.mark.parametrize("text", ["a b\n" * 1_000_000, b"\x00\xff" * 1_000_000, "x", b"y"], ids=len)
def test_the_reader_has_the_same_text(text):
    reader, writer = os.pipe()
    thread = threading.Thread(target=write_text_to_pipe, args=(text, writer))
    thread.start()
    stand = os.memfd_create("token")
    preloaded_data.hold(reader, stand, text={"kind": type(text).__name__, "size": len(text)})
    thread.join(60)
    (found,) = preloaded_data.find(stand)
    preloaded_data._held.clear()
    assert found == text
    assert hash(found) == hash(text)
    assert type(found) is type(text)
    assert os.read(reader, 1) == b"", "the writer has closed its end"
    os.close(reader)
    os.close(stand)


def test_a_reader_that_ends_early_lets_the_writer_go():
    reader, writer = os.pipe()
    os.close(reader)
    write_text_to_pipe("x" * 1_000_000, writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer)


def test_a_writer_that_ends_early_is_an_error():
    reader, writer = os.pipe()
    os.write(writer, b"half")
    os.close(writer)
    with pytest.raises(EOFError, match="ended after 4 of 8 bytes"):
        preloaded_data.hold(reader, text={"kind": "bytes", "size": 8})
    os.close(reader)
