"""Blocks of a shell in a reply, as cells: where the setting `bash` is on."""

from __future__ import annotations

from dataclasses import replace

from rlm_jupyter.engine.reply.fences import Block, Scan

SHELL_TAGS = frozenset({"bash", "sh", "shell"})
MAGIC = "%%bash\n"
"""What a cell begins with that bash runs."""


def with_scripts(found: Scan, *, cut: bool) -> Scan:
    """Returns a reply in which a block of a shell is code: a cell that the kernel's bash runs.

    Args:
        found: the reply.
        cut: whether it ended before the model did: its last block may lack its end, and half a command is another one.
    """
    blocks = [_as_cell(block) for block in found.blocks]
    if cut and blocks and blocks[-1] is not found.blocks[-1]:
        blocks[-1] = replace(blocks[-1], kind="cut")
    return replace(found, blocks=tuple(blocks))


def _as_cell(block: Block) -> Block:
    if block.kind != "other" or block.tag not in SHELL_TAGS or not block.code.strip():
        return block
    script = block.code.strip("\n")
    return replace(block, kind="code", code=f"{MAGIC}{script}")
