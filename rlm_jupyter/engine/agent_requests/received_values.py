"""Values that an agent's code sent, decoded while other agents work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.errors import ValueTransferError
from rlm_jupyter.values.codec import container

if TYPE_CHECKING:
    from rlm_jupyter.values.store import Buffer

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
