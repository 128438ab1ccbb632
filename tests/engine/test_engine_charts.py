"""Charts in runs: given to FINAL, shown by cells, pulled, handed to agents; what the model reads of them."""

import base64
import io
import json
from pathlib import Path

import altair as alt
import matplotlib as mpl
import pandas as pd
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure
from PIL import Image
from run_parts import asking

from rlm_jupyter import RLM, Chart
from rlm_jupyter.engine.agent import cell_pictures
from rlm_jupyter.errors import UnsafeValueError
from rlm_jupyter.guest.ipykernel_hooks import shown_pictures
from rlm_jupyter.kernels import cell_result
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load
from rlm_jupyter.values.charts import png

mpl.use("agg")
PNG_IN_BASE64 = "iVBORw0KGgo"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("charts")) as start:
        yield start


@pytest.fixture(scope="module")
def context():
    figure = Figure()
    figure.subplots().plot([1, 2])
    bars = go.Figure(go.Bar(x=["a"], y=[1]))
    points = alt.Chart(pd.DataFrame({"a": [1]})).mark_point().encode(x="a")
    return {"figure": figure, "bars": bars, "points": points, "scans": [Image.new("RGB", (9, 7), "red")] * 2}


CELLS = [
    # 1: the data are the libraries' own objects
    ("print({name: type(value).__module__ + '.' + type(value).__name__ for name, value in context.items()})\n"
    "print(context['scans'][1].getpixel((8, 6)), context['figure'].axes[0].lines[0].get_ydata())"),
    # 2: drawn, and not shown
    ("import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2, 3], [4, 5, 6])\nax.set_title('Mine')\n"
    "ax.set_xlabel('month')\npass"),
    # 3: shown
    "plt.plot([1, 2])\nplt.show()\nprint(plt.get_fignums())",
    # 4: a cell's last expression
    "fig",
    # 5: displayed, and an image as the last expression
    "from PIL import Image\nim = Image.new('RGB', (30, 20), 'blue')\ndisplay(fig)\nim",
    # 6: other libraries: one line each; they draw no picture by themselves
    ("import plotly.express as px, altair as alt, seaborn as sns, pandas as pd\n"
    "df = pd.DataFrame({'month': ['jan', 'feb'], 'n': [3, 4]})\n"
    "line = px.line(df, x='month', y='n', title='Plotly')\nmarks = alt.Chart(df).mark_bar().encode(x='month', y='n')\n"
    "display(line)\nmarks"),
    # 7: of seaborn and pandas
    "grid = sns.relplot(df, x='n', y='n')\nbars = df.plot.bar(x='month', y='n')\npass",
    # 8: more than are sent
    "for _ in range(12):\n    display(im)",
    # 9: a picture that is not made by a figure
    ("from IPython.display import Image as Shown\nimport io\nstream = io.BytesIO()\nim.save(stream, 'PNG')\n"
    "display(Shown(data=stream.getvalue()))\ndisplay({'image/png': 'bm90IGEgcGljdHVyZQ==', 'text/plain': 'crafted'}, raw=True)"),
    "FINAL({'total': 7, 'chart': fig, 'all': [line, marks, im, bars, grid]})",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(ask, context):
    run = ask({"root": CELLS}, context=context)
    assert run.status == "done", run.error
    return run


@pytest.fixture(scope="module")
def cells(run):
    return [turn.cells[0] for turn in run.tree.agents["0"].turns]


def picture(shown):
    with Image.open(io.BytesIO(base64.b64decode(shown.png))) as image:
        return image.convert("RGB")


def test_figures_and_images_reach_the_agent_as_what_they_are(cells):
    for name in (
        "matplotlib.figure.Figure",
        "plotly.graph_objs._figure.Figure",
        ".Chart",
        "(255, 0, 0) [1 2]",
    ):
        assert name in cells[0].output


def test_the_data_are_not_shown_as_if_the_agent_had_drawn_them(cells):
    assert cells[0].pictures == ()


@pytest.mark.parametrize("number", [2, 4, 5])
def test_what_a_cell_draws_or_shows_is_one_line_and_a_picture(cells, number):
    cell = cells[number - 1]
    line = '<line chart, "Mine", 640 x 480 pixels, axes: month, 3 points (matplotlib)>'
    assert cell.output.splitlines()[0] == line
    shown = cell.pictures[0]
    assert shown.summary == line
    assert picture(shown).size == (shown.width, shown.height)
    assert shown.width > 400


def test_a_figure_that_was_shown_is_closed(cells):
    assert cells[2].output == "<line chart, 640 x 480 pixels, 2 points (matplotlib)>\n[]"
    assert len(cells[2].pictures) == 1


def test_an_image_is_shown_with_its_pixels(cells):
    assert cells[4].output.splitlines()[1] == "<image, 30 x 20 pixels (PIL)>"
    assert picture(cells[4].pictures[1]).getpixel((29, 19)) == (0, 0, 255)


def test_charts_of_libraries_that_draw_in_the_page_are_one_line(cells):
    assert cells[5].output.splitlines() == [
        '<line chart, "Plotly", axes: month, n, 2 points (plotly)>',
        "<bar chart, axes: month, n, 2 points (altair)>",
    ]
    assert cells[5].pictures == ()


def test_charts_of_seaborn_and_pandas_are_shown(cells):
    assert "<scatter chart" in cells[6].output
    assert "<bar chart" in cells[6].output
    assert len(cells[6].pictures) == 2


def test_a_cell_sends_only_so_many_pictures(cells):
    assert cells[7].output.count("<image, 30 x 20 pixels (PIL)>") == 12
    assert len(cells[7].pictures) == shown_pictures.PICTURES == cell_result.MOST_PICTURES


def test_other_pictures_are_kept_if_they_are_some(cells):
    assert "crafted" in cells[8].output
    assert [(one.width, one.height) for one in cells[8].pictures] == [(30, 20)]


def test_the_answer_holds_charts_at_any_place(run):
    value = run.value
    assert value["total"] == 7
    assert (type(value["chart"]), value["chart"].title, list(value["chart"].data["y"])) == (
        Chart,
        "Mine",
        [4, 5, 6],
    )
    assert [type(one).__name__ for one in value["all"]] == ["Figure", "Chart", "Image", "Chart", "Chart"]
    assert (type(value["all"][0]), type(value["all"][1])) == (go.Figure, alt.Chart)
    assert [one.kind for one in value["all"][3:]] == ["bar", "scatter"]


def test_figures_are_pulled(run):
    agent = run.agents["0"]
    assert [type(agent.pull(name)) for name in ("fig", "ax", "grid", "line", "marks")] == [
        Chart, Chart, Chart, go.Figure, alt.Chart,
    ]  # fmt: skip
    assert agent.pull("im").size == (30, 20)
    assert type(agent.pull("context")["figure"]) is Chart
    assert type(agent.pull("fig", trust=True)) is Figure


def test_variables_are_described_in_one_line(run):
    found = {name: about["summary"] for name, about in run.agents["0"].variables.items()}
    assert found["fig"] == 'line chart, "Mine", 640 x 480 pixels, axes: month, 3 points (matplotlib)'
    assert found["im"] == "image, 30 x 20 pixels (PIL)"


def test_no_prompt_has_bytes_of_a_chart(run):
    prompts = json.dumps(run.agents["0"].messages)
    assert "line chart" in prompts
    assert PNG_IN_BASE64 not in prompts
    assert "Figure size" not in prompts


def test_a_log_that_is_read_back_has_the_pictures(run):
    back = load(run.log_path).tree.agents["0"]
    assert [turn.cells[0].pictures for turn in back.turns] == [
        turn.cells[0].pictures for turn in run.tree.agents["0"].turns
    ]


def test_a_picture_in_a_log_that_is_no_base64_is_left_out(run, tmp_path):
    text = Path(run.log_path).read_text("utf-8").replace(PNG_IN_BASE64, '\\"><script>')
    (tmp_path / "forged.jsonl").write_text(text, "utf-8")
    back = load(tmp_path / "forged.jsonl").tree.agents["0"]
    assert {one.png for turn in back.turns for one in turn.cells[0].pictures} == {""}


# ---- between agents, and what goes wrong

SUB = "rlm_query('sub', figure)"


def test_a_figure_goes_to_a_sub_agent_and_back_as_it_is(ask):
    root = (
        "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\naxes.plot([1, 2])\nplt.close()\n"
        f"back = {SUB}\nprint(type(back['figure']), back['axes'].figure is back['figure'])\n"
        "assert back['figure'].axes[0].get_title() == 'Sub'\nFINAL(back)"
    )
    sub = "print(type(context))\ncontext.axes[0].set_title('Sub')\nFINAL({'figure': context, 'axes': context.axes[0]})"
    run = ask({"root": [root], "sub": [sub]})
    assert run.status == "done", run.error
    assert "<class 'matplotlib.figure.Figure'> True" in run.tree.agents["0"].turns[0].cells[0].output
    assert run.value["figure"].title == "Sub"
    assert run.agents["0.1"].value["axes"].title == "Sub"  # the notebook reads it too


def test_pyplot_given_as_the_answer_is_its_figure(ask):
    run = ask({"root": ["import matplotlib.pyplot as plt\nplt.bar(['a', 'b'], [1, 2])\nFINAL(plt)"]})
    assert (type(run.value), run.value.kind) == (Chart, "bar")


def test_a_class_that_calls_itself_a_figure_is_shown_as_text_and_refused(ask):
    code = (
        "import matplotlib.figure\nclass Figure:\n    def savefig(self, *a, **k): raise SystemExit\n"
        "    def __repr__(self): return 'pretender'\nFigure.__module__ = 'matplotlib.figure'\nf = Figure()\ndisplay(f)"
    )
    run = ask({"root": [code, "FINAL(f)"]})
    cell = run.tree.agents["0"].turns[0].cells[0]
    assert (cell.output, cell.pictures) == ("pretender", ())
    with pytest.raises(UnsafeValueError):
        _ = run.value


def test_the_pictures_of_a_run_are_bounded(ask, monkeypatch):
    monkeypatch.setattr(cell_pictures, "RUN_BYTES", 250)
    code = "from PIL import Image\nfor color in ('red', 'green', 'blue'):\n    display(Image.new('RGB', (8, 8), color))"
    run = ask({"root": [code, "FINAL(1)"]})
    shown = run.tree.agents["0"].turns[0].cells[0].pictures
    assert len(shown) == 3
    assert shown[0].png
    assert shown[-1].png == ""
    assert sum(len(one.png) for one in shown) <= 250


def test_a_large_picture_is_drawn_small_enough_to_be_sent(ask):
    noise = "import os\nfrom PIL import Image\ndisplay(Image.frombytes('RGB', (3000, 2000), os.urandom(18_000_000)))"
    figure = "import matplotlib.pyplot as plt\nplt.figure(figsize=(200, 100))\nplt.plot([1, 2])\nplt.show()"
    run = ask({"root": [f"{noise}\n{figure}", "FINAL(1)"]})
    shown = run.tree.agents["0"].turns[0].cells[0].pictures
    assert len(shown) == 2
    assert all(0 < len(one.png) <= shown_pictures.MAX_TEXT for one in shown)
    assert all(one.width * one.height <= cell_pictures.MAX_PIXELS for one in shown)


def test_what_a_display_message_may_carry_is_checked_where_it_arrives():
    recorder = cell_result.Recorder(None)
    for data in (7, "x" * (cell_result.LONGEST_PICTURE + 1), ["x"], *["eA=="] * 20):
        recorder.on_message("display_data", {"data": {"text/plain": "<image>", "image/png": data}})
    recorder.on_message("display_data", {"data": {"image/png": "eA==", "text/html": "<script>"}})
    result = recorder.result("ok")
    assert len(result.pictures) == cell_result.MOST_PICTURES
    assert result.output == "<image>\n" * 23
    bomb = png.rewrite(bomb_of(1_000, 1_000), max_bytes=1 << 20).png
    shown = cell_result.ShownPicture("<image>", base64.b64encode(bomb).decode())
    assert cell_pictures._rewrite(shown) is not None
    larger = base64.b64encode(bomb_of(2_000, 1_000)).decode()
    assert cell_pictures._rewrite(cell_result.ShownPicture("<image>", larger)) is None
    assert cell_pictures._rewrite(cell_result.ShownPicture("<image>", "é")) is None


def bomb_of(width, height):
    stream = io.BytesIO()
    Image.new("1", (width, height)).save(stream, "PNG")
    return stream.getvalue()


def test_a_figure_is_not_drawn_beside_the_cell_that_uses_it(tmp_path):
    draw = "import matplotlib.pyplot as plt\nfigure = plt.figure(figsize=(4, 2))\ndrawn = []\nimport threading\nfigure.savefig = lambda *_, **__: drawn.append(threading.current_thread() is threading.main_thread())"
    look = "import time\ntime.sleep(1)\nFINAL(drawn.count(False))"
    model = ScriptedModel([f"```repl\n{code}\n```" for code in (draw, look)])
    # With a log, variables are kept on disk as the run goes; matplotlib changes a figure while it draws it.
    with RLM(model=model, cache=False, log_dir=tmp_path).run("Draw.") as run:
        assert run.value == 0
