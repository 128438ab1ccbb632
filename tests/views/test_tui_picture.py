"""A run of the demo model in the terminal's viewer, as a picture; `RLM_JUPYTER_SCREENSHOTS=1` keeps it in `docs/images`."""

import os
import re
from pathlib import Path

from demo_data import planted

from rlm_jupyter import RLM
from rlm_jupyter.records import load
from rlm_jupyter.views.tui.shown_run import ShownRun
from rlm_jupyter.views.tui.viewer import Viewer

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 150_000


def without_web_fonts(svg):
    """A reader's own font will do: nothing is fetched."""
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")


async def test_the_viewer_as_a_picture(tmp_path):
    orders, *_ = planted()
    rlm = RLM(model="demo", log_dir=tmp_path, cache=False)
    run = await rlm.arun("Which supplier explains the rise in refunds, and since when?", context=orders)
    run.close()
    record = load(run.log_path)
    app = Viewer(ShownRun(record.events, record.tree))
    async with app.run_test(size=(116, 32)) as pilot:
        await pilot.pause()
        svg = without_web_fonts(app.export_screenshot(title=f"rlm-jupyter log {run.id}.jsonl --tui"))
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert len(svg.encode()) <= MOST_BYTES
    text = re.sub(r"<[^>]*>", "", svg).replace("&#160;", " ")
    assert "Question: Which supplier explains the rise in refunds" in text
    assert "1 Agents" in text
    if os.environ.get("RLM_JUPYTER_SCREENSHOTS"):
        (IMAGES / "terminal.svg").write_text(svg, "utf-8")
