"""Values that an agent's code sent, decoded while other agents work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.errors import MalformedValueError, ValueTransferError
from rlm_jupyter.values.codec import container

if TYPE_CHECKING:
    from rlm_jupyter.values.store import Buffer

_ROOM: Final = 1.1
"""Of the bytes of files: other compressors make files of other sizes, and there is a list around them."""
MOST_STRUCTURE: Final = 8 << 20
"""Bytes of a value's structure, its arrays, columns and texts not counted: some millions of numbers in lists.

It is parsed in one call that holds the interpreter, so that all other agents wait meanwhile.
"""


def load_received(buffer: Buffer) -> Any:
    """Decode a value that came from an agent's kernel, as plain data only.

    Raises:
        ValueTransferError: it has too much structure.
        RLMError: as of `Buffer.load`.
    """
    structure = container.read_head_size(buffer.fd)
    if structure > MOST_STRUCTURE:
        raise ValueTransferError(
            f"The value has {structure / 1e6:,.0f} MB of lists and dicts, and {MOST_STRUCTURE / 1e6:,.0f} MB can be "
            "read while agents work. Give the data as an array or a table, or less of it."
        )
    return buffer.load()


def load_files(buffer: Buffer, what: str, *, most: int, size: int) -> list[bytes]:
    """Decode the files that an agent's code sent with a prompt; the kernel may have sent anything.

    Args:
        buffer: a list of bytes.
        what: the files are, for errors: `images`, `audio`.
        most: files.
        size: bytes of all files together, roughly.

    Raises:
        RLMError: it is something else, or more than a prompt may have.
    """
    if buffer.size > _ROOM * size:
        raise MalformedValueError(f"The `{what}` of a prompt has more than {size:,} bytes.")
    files = load_received(buffer)
    if (
        type(files) is not list
        or not 0 < len(files) <= most
        or any(type(file) is not bytes for file in files)
    ):
        raise MalformedValueError(f"The `{what}` of a prompt is not a list of at most {most} files.")
    return files
