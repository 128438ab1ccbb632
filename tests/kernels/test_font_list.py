"""matplotlib's list of fonts: made once, when a cell first draws, and each kernel has a copy of its own."""

import json
import time

import pytest
from run_parts import asking, until

from rlm_jupyter.kernels.launch import font_list
from rlm_jupyter.kernels.launch.font_list import FontList

LOOK = """\
import os, pathlib
directory = pathlib.Path(os.environ['MPLCONFIGDIR'])
found = {path.name: path.stat() for path in directory.glob('*.json')}
print(sorted(found), sorted(os.listdir()))
"""


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:
        yield start


def fonts_of(run):
    return run._conductor.pool._fonts


def made(fonts):
    until(lambda: fonts.made, 120)
    return fonts


def test_nothing_is_made_before_code_draws(tmp_path):
    fonts = FontList(tmp_path / "fonts")
    for code in (
        "print(1)",
        "import pandas as pd\npd.DataFrame().describe()",
        "x" * 200_000 + "\nplt.plot()",
    ):
        fonts.want_for(code)
    fonts.copy_to(tmp_path)
    assert not (tmp_path / "fonts").exists()
    assert not (tmp_path / ".matplotlib").exists()


@pytest.mark.parametrize(
    "code", ["import matplotlib.pyplot as plt", "df.plot.bar()", "import seaborn", "plt.figure()"]
)
def test_the_first_code_that_draws_has_it_made_once_and_copied(tmp_path, monkeypatch, code):
    started = []
    popen = font_list.subprocess.Popen
    monkeypatch.setattr(font_list.subprocess, "Popen", lambda *a, **k: started.append(a) or popen(*a, **k))
    fonts = FontList(tmp_path / "fonts")
    for _ in range(3):
        fonts.want_for(code)
    made(fonts)
    assert len(started) == 1
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        fonts.copy_to(tmp_path / name)
    (mine,), (other,) = (list((tmp_path / name / ".matplotlib").iterdir()) for name in ("a", "b"))
    assert mine.stat().st_ino != other.stat().st_ino
    assert any(font["name"] == "DejaVu Sans" for font in json.loads(mine.read_text())["ttflist"])
    mine.write_text("{}")
    assert "DejaVu Sans" in other.read_text()
    fonts.copy_to(tmp_path / "a")
    assert mine.read_text() == "{}", "what is there is left as it is"


def test_where_it_cannot_be_made_kernels_go_without(tmp_path, monkeypatch):
    monkeypatch.setattr(font_list, "_PROGRAM", "raise SystemExit(1)")
    fonts = FontList(tmp_path / "fonts")
    fonts.want_for("plt.plot()")
    until(lambda: fonts._process is not None and fonts._process.poll() is not None)
    time.sleep(0.2)
    fonts.copy_to(tmp_path)
    assert not fonts.made
    assert not (tmp_path / ".matplotlib").exists()


def test_a_kernel_that_starts_later_finds_the_list_and_cannot_change_that_of_others(ask):
    draw = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.close()\nFINAL(1)"
    fonts = made(fonts_of(ask({"root": [draw]})))
    used = f"""{LOOK}
import matplotlib.font_manager
print(all(path.stat().st_mtime_ns == found[path.name].st_mtime_ns for path in directory.glob('*.json')))
print('DejaVu Sans' in matplotlib.font_manager.get_font_names())
for path in directory.glob('*.json'):
    path.write_text('poison')
"""
    outside = f"""import os
for touch in (os.listdir, lambda path: open(os.path.join(path, 'x'), 'w')):
    try:
        touch({str(fonts._directory)!r})
    except PermissionError:
        print('closed')
FINAL(1)
"""
    waits = []
    for _ in range(4):  # those that were kept ready have started before
        run = ask({"root": [used, outside]})
        outputs = [cell.output for turn in run.tree.agents["0"].turns for cell in turn.cells]
        waits.append(outputs[0])
        assert outputs[1] == "closed\nclosed", "no kernel reads or writes where the list is made"
    name = fonts._made[0]
    assert waits[-1] == f"['{name}'] ['.matplotlib']\nTrue\nTrue", waits
    assert b"poison" not in fonts._made[1]
