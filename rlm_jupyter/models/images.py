"""Images that go to a model with a message, and how many tokens they take.

What a provider counts for an image depends on its model alone:

- OpenAI: https://platform.openai.com/docs/guides/vision#calculating-costs - scaled into 2048 x 2048, then until
  the shorter side has 768, then 85 tokens and 170 for each tile of 512 x 512; newer models count patches of 32 x 32,
  at most 1,536, times up to 2.46; `gpt-4o-mini` counts 2,833 and 5,667 for each tile.
- Anthropic: https://docs.claude.com/en/docs/build-with-claude/vision - a token for 750 pixels.
- Llama 3.2: https://docs.together.ai/docs/vision-overview - 1,601 for each tile of 560 x 560, at most 2 x 2.
- Pixtral: https://github.com/scaleway/docs-content/pull/4424 - one for each patch of 16 x 16; and one for each row of
  these. Qwen2-VL: https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct/discussions/47 - one for each 28 x 28.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

_SQUARE: Final = 2048
_SHORT: Final = 768
_TILE: Final = 512
_BASE_TOKENS, _TILE_TOKENS = 85, 170
_MINI_BASE_TOKENS, _MINI_TILE_TOKENS = 2833, 5667
_MARGIN: Final = 4
"""Of the bound: models whose sizes nobody publishes, and patches with a factor."""
_LARGE_TILE, _LARGE_TILE_TOKENS = 560, 1601
_PATCH: Final = 16
_PIXELS_PER_TOKEN: Final = 750


@dataclass(frozen=True)
class Image:
    """An image that goes to a model with a message: a PNG file that this process wrote.

    Attributes:
        png: the file.
        width: in pixels.
        height: in pixels.
    """

    png: bytes = field(repr=False)
    width: int
    height: int

    @cached_property
    def sha256(self) -> str:
        """The hash of the file, which stands for it where the file itself is not kept."""
        return hashlib.sha256(self.png).hexdigest()

    @property
    def base64(self) -> str:
        """The file, as protocols carry it."""
        return base64.b64encode(self.png).decode()

    @property
    def reference(self) -> str:
        """What logs and chats have in its place."""
        return f"[image: {self.width} x {self.height} pixels, {len(self.png):,} bytes, sha256 {self.sha256}]"

    @property
    def tokens(self) -> int:
        """About how many tokens of a prompt it takes."""
        by_tiles = _BASE_TOKENS + _TILE_TOKENS * _tiles(self.width, self.height)
        return max(by_tiles, self.width * self.height // _PIXELS_PER_TOKEN)

    def most_tokens(self, model: str = "") -> int:
        """Returns the most tokens of a prompt that it may take.

        Args:
            model: the model's name, for one that is known to count more than all others.
        """
        tiles = _tiles(self.width, self.height)
        if "4o-mini" in model:
            return _MINI_BASE_TOKENS + _MINI_TILE_TOKENS * tiles
        large = min(2, _parts(self.width, _LARGE_TILE)) * min(2, _parts(self.height, _LARGE_TILE))
        patches = (_parts(self.width, _PATCH) + 1) * _parts(self.height, _PATCH)
        return max(_MARGIN * (_BASE_TOKENS + _TILE_TOKENS * tiles), _LARGE_TILE_TOKENS * large, patches)


def _tiles(width: int, height: int) -> int:
    """Count OpenAI's tiles; a small image is counted as if it were made larger, which some models do."""
    shrink = min(1.0, _SQUARE / max(width, height))
    scale = shrink * _SHORT / max(1.0, min(width, height) * shrink)
    wide, high = (min(_SQUARE, max(1, round(side * scale))) for side in (width, height))
    return _parts(wide, _TILE) * _parts(high, _TILE)


def _parts(length: int, part: int) -> int:
    return -(-length // part)
