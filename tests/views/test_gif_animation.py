"""A run as an animated GIF: frames as the tree grew, within bounds, without texts where none are wanted."""

import io
import sys

import pytest
from PIL import Image

from rlm_jupyter import RLM
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.export_file import export_run
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.views import gif_animation
from rlm_jupyter.views.gif_animation import to_gif

REPLIES = [
    "```repl\nparts = rlm_query_batched(['How long is the first?', 'How long is the second?'], context)\n```",
    "```repl\nFINAL(len(context))\n```",
    "```repl\nFINAL(len(context))\n```",
    "```repl\nFINAL({'parts': parts, 'secret word': 'xylophone'})\n```",
]


@pytest.fixture(scope="module")
def run():
    model = ScriptedModel(REPLIES)
    with RLM(model=model, log_dir=None, cache=False).start("How long are both?", ["ab", "cde"]) as made:
        made.wait(60)
        assert made.status == "done", made.error
        yield made


def frames(data):
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "GIF"
    found = []
    for number in range(picture.n_frames):
        picture.seek(number)
        found.append((picture.convert("RGB"), picture.info["duration"]))
    return found


def test_the_tree_grows_from_frame_to_frame_and_its_end_is_held(run):
    made = frames(to_gif(run.tree, "all", run.events))
    assert 4 <= len(made) <= gif_animation.MOST_FRAMES
    assert made[-1][1] == 4000
    assert all(held >= 60 for _, held in made)
    assert 5_000 <= sum(held for _, held in made[:-1]) <= 12_000
    inked = [sum(picture.convert("L").histogram()[:200]) for picture, _ in made]
    assert inked[0] < inked[-1]
    green = (0x1A, 0x7F, 0x37)
    colours = [{colour for _, colour in picture.getcolors(1 << 20)} for picture, _ in made]
    assert not any(close(colour, green) for colour in colours[0])
    assert any(close(colour, green) for colour in colours[-1])


def close(one, other):
    return all(abs(a - b) < 24 for a, b in zip(one, other, strict=True))


def scenes(monkeypatch, tree, level, events):
    seen = []
    monkeypatch.setattr(gif_animation, "_bounded", lambda found: seen.extend(found) or b"")
    to_gif(tree, level, events)
    return ["\n".join(row.text for row in scene) for scene in seen]


def test_each_agent_has_a_row_and_the_answer_stands_at_the_end(run, monkeypatch):
    told = scenes(monkeypatch, run.tree, "all", run.events)
    assert "xylophone" in told[-1]
    assert "How long is the first?" in told[-1]
    assert "0.2 done" in told[-1]
    assert "0.2" not in told[0]
    assert any("parts = rlm_query_batched" in scene for scene in told[:-1])
    assert told == list(dict.fromkeys(told))


def test_of_the_structure_no_text_is_drawn(run, monkeypatch):
    told = "\n".join(scenes(monkeypatch, run.tree, "structure", run.events))
    assert "0.2 done" in told
    assert not any(text in told for text in ("xylophone", "How long", "rlm_query_batched"))


def test_without_events_there_is_one_frame(run):
    assert len(frames(to_gif(run.tree, "all"))) == 1
    assert len(frames(to_gif(TreeState(run="none"), "all"))) == 1


def test_many_agents_are_counted_and_the_file_is_bounded(monkeypatch, run):
    monkeypatch.setattr(gif_animation, "_MOST_ROWS", 2)
    assert "… and 1 more agent" in scenes(monkeypatch, run.tree, "all", ())[-1]
    monkeypatch.undo()
    whole = to_gif(run.tree, "all", run.events)
    monkeypatch.setattr(gif_animation, "MOST_BYTES", len(whole) // 2)
    fewer = to_gif(run.tree, "all", run.events)
    assert len(fewer) <= len(whole) // 2
    assert 1 < len(frames(fewer)) < len(frames(whole))


def test_it_is_exported_by_its_name_and_needs_pillow(run, tmp_path, monkeypatch):
    path = export_run(run.tree, tmp_path / "run.gif", events=run.events)
    assert len(frames(path.read_bytes())) > 1
    with pytest.raises(ConfigError, match="exists already"):
        export_run(run.tree, path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match="pip install pillow"):
        export_run(run.tree, tmp_path / "other.gif")
