"""`rlm_jupyter.Chart`: a chart or an image of an agent, as the notebook has it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError, ValueTransferError
from rlm_jupyter.values.codec.charts import ChartParts

if TYPE_CHECKING:
    import os

    import pandas as pd

__all__ = ["Chart"]


class Chart(ChartParts):
    """A chart or an image that an agent's code made.

    What `FINAL(fig)` and `pull` give for a figure of matplotlib (also of seaborn and of pandas' `.plot`), and for one
    of plotly, altair or Pillow where the library is not installed here or its specification was not accepted. Nothing
    in it is code: the picture was written anew by this process, and the specification was checked.

    Attributes:
        library: that drew it: `matplotlib`, `plotly`, `altair` or `PIL`.
        kind: such as `line`, `bar`, `bar and line` or `image`; empty if unknown.
        title: its title; empty if it has none.
        labels: of its axes, those that have one.
        points: how many points, bars or cells it shows; None if unknown.
        size: width and height in pixels; None if there is no picture and the size is not fixed.
        png: the picture as a PNG file; None if the library does not draw one by itself (plotly, altair).
        spec: the specification as a dict (plotly, Vega-Lite); None if there is none or it was not accepted.
        data: a DataFrame of what the chart shows; None if that is not known.
        refused: why the picture or the specification was not accepted; empty if all was.
    """

    png: bytes | None
    spec: dict[str, Any] | None
    data: pd.DataFrame | None

    def __init__(self, parts: ChartParts, *, refused: str = "") -> None:
        super().__init__(**{name: getattr(parts, name) for name in ChartParts.__dataclass_fields__})
        self.refused = refused

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the chart into a file: the picture (`.png`), the specification (`.json`) or the data (`.csv`).

        Args:
            path: of the file; its ending says which.

        Raises:
            ConfigError: the ending is another one.
            ValueTransferError: the chart does not have that.
            OSError: the file cannot be written.
        """
        target = Path(path)
        ending = target.suffix.lower()
        if ending not in (".png", ".json", ".csv"):
            raise ConfigError(
                f"A chart is saved as `.png`, `.json` or `.csv`, not as `{ending or target.name}`."
            )
        found = {".png": self.png, ".json": self.spec, ".csv": self.data}
        has = [f"`{name}`" for name, part in found.items() if part is not None]
        if found[ending] is None:
            raise ValueTransferError(
                f"This chart has nothing to write as `{ending}`. {self.refused} "
                f"It can be saved as {' or '.join(has) or 'nothing'}."
            )
        if ending == ".png" and self.png is not None:
            target.write_bytes(self.png)
        elif ending == ".json":
            target.write_text(json.dumps(self.spec), encoding="utf-8")
        elif self.data is not None:
            self.data.to_csv(target, index=False)

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        if self.png is not None:
            bundle["image/png"] = base64.b64encode(self.png).decode()
        return bundle

    def __repr__(self) -> str:
        parts = [self.facts.line]
        parts.append(f"{len(self.data):,} rows of data" if self.data is not None else "")
        about = f"<Chart: {', '.join(part for part in parts if part)} ({self.library})>"
        return f"{about} {self.refused}".strip()
