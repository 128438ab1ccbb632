"""Finished runs with answers of every kind, and pages that show their cards without a kernel."""

from __future__ import annotations

import io
import json

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from hostile_text import PAYLOADS
from run_story import Story

from rlm_jupyter.engine.run.answer_excerpt import _picture
from rlm_jupyter.values.charts.chart import Chart
from rlm_jupyter.values.codec.charts import ChartParts
from rlm_jupyter.values.codec.spans import Span, SpanPlace
from rlm_jupyter.values.describe.api import describe
from rlm_jupyter.values.excerpt import excerpt
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.widget_messages import Patcher

TEXT = """Refunds rose **by 31 %** since March, and *Corvus* explains two thirds of that.

## What stands behind it

1. Corvus changed the supplier of its `valve-2` in week 9.
2. From week 10 on, returns name the valve:
   - leaking after a week
   - wrong thread

> The valve does not close any more.

```python
orders[orders.supplier == "Corvus"].groupby("week").refunds.sum()
```

The other suppliers move within their usual range (see [the report](https://example.org/report)); their sum is up by 4 %."""


def chart() -> Chart:
    """A figure as the notebook has it."""
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun"]
    axes.plot(months, [12, 15, 31, 44, 52, 57], marker="o", label="Corvus")
    axes.plot(months, [11, 12, 13, 12, 14, 13], marker="o", label="others")
    axes.set(title="Refunds by month", xlabel="month", ylabel="refunds")
    axes.legend()
    written = io.BytesIO()
    figure.savefig(written)
    plt.close(figure)
    return Chart(
        ChartParts(
            "matplotlib", "line", "Refunds by month", ("month", "refunds"), 12, (600, 320), written.getvalue()
        )
    )


def suppliers(columns: int = 4, rows: int = 6) -> pd.DataFrame:
    """A table as an answer has it."""
    names = ["Corvus", "Heron", "Kestrel", "Merlin", "Osprey", "Plover"] * (rows // 6 + 1)
    table = pd.DataFrame(
        {
            "supplier": names[:rows],
            "orders": [(12_345 * (n + 3)) % 9_973 for n in range(rows)],
            "refund rate": [round(0.031 * (n + 1) % 0.17, 4) for n in range(rows)],
            "since": pd.date_range("2024-03-01", periods=rows, freq="7D"),
        }
    )
    for n in range(columns - 4):
        table[f"week {n + 1}"] = [(n * 7 + row * 13) % 97 for row in range(rows)]
    return table


def answers() -> dict[str, object]:
    """An answer of each kind."""
    return {
        "text": "Corvus, since week 10.",
        "long-text": TEXT,
        "integer": 9_007_199_254_740_993,
        "float": 0.1 + 0.2,
        "unit": {"value": 31.4, "unit": "%"},
        "truth": True,
        "nothing": None,
        "dict": {"supplier": "Corvus", "since": pd.Timestamp("2024-03-04"), "share": 0.664, "sure": True},
        "nested": {
            "supplier": "Corvus",
            "refunds": {"before": 12, "after": 57, "by product": {"valve-1": 3, "valve-2": 54}},
            "weeks": [9, 10, 11, 12],
            "reasons": [
                "leaking after a week",
                "wrong thread",
                "delivered twice, and one of them opened before",
            ],
        },
        "list": ["Corvus explains two thirds of the rise", "Heron has fewer orders", "the rest is unchanged"],
        "table": suppliers(),
        "wide-table": suppliers(22, 40),
        "chart": chart(),
        "report": {
            "summary": "Refunds rose **by 31 %**; *Corvus* explains two thirds.",
            "share": {"value": 66.4, "unit": "%"},
            "refunds": chart(),
            "suppliers": suppliers(),
        },
        "passages": {
            "supplier": "Corvus",
            "passages": [
                passage("three valves of Corvus leaked after a week", 120, "On Monday came a letter:\n"),
                passage("since then we **send back**\nevery second one", 341, "They wrote: "),
            ],
        },
    }


def sampled(value: object, **fields: object) -> Story:
    """Returns a run whose three samples did not agree, and were reconciled."""
    story = story_of(value)
    story.state.agreement = {
        "asked": 3,
        "ran": 3,
        "answered": 3,
        "agreeing": 2,
        "answering": "0.1",
        "own": False,
        "verified": True,
        "why": "the sum of <b>Acme</b> is 8",
        "check": "8",
        "columns": ("where", "samples 1, 3", "sample 2"),
        "rows": (("supplier Acme · refund", "8.0", "<i>5.0</i>"),),
        "more": 0,
        **fields,
    }
    return story


def passage(text, line, before=""):
    """A passage of the data as the engine has found it."""
    place = SpanPlace(line, line + text.count("\n"), before, "; more is in the annex.\n")
    return Span(text, "context", "letters.txt", 7, place)


def hostile_answers() -> dict[str, object]:
    """Answers of which each part would do harm, if it were anything but text."""
    link = "[click](javascript:alert(1)) ![x](http://evil.test/i.png) <img src=http://evil.test/i.png onerror=alert(1)>"
    deep: object = link
    for _ in range(60):
        deep = {link: deep}
    return {
        "text": "\n".join([link, *map(str, PAYLOADS), "# " + link, "- " + link, "> " + link, "```\n" + link]),
        "huge": link + "*" * 200_000 + "`" * 200_000 + "\n-" * 50_000,
        "deep": deep,
        "keys": {str(payload): payload for payload in PAYLOADS[:25]},
        "list": [*PAYLOADS[:25]],
        "table": pd.DataFrame({link: [link, *PAYLOADS[:5]], "n": range(6)}),
        "records": [{link: payload, "b": 1} for payload in PAYLOADS[:6]],
        "chart": Chart(ChartParts("matplotlib", link, link, (link,), 1, (6, 3), chart().png)),
        "unit": {"value": 1, "unit": "<img src=x>"},
        "passage": [
            Span(link, link, link, 7, SpanPlace(1, 2, link * 9, link * 9)),
            *map(passage, PAYLOADS[:5], range(5)),
        ],
    }


def story_of(value: object, status: str = "done", **ended: object) -> Story:
    """Returns a run that has ended with an answer, told as the engine does."""
    story = Story(
        "Which supplier explains the rise in refunds, and since when?",
        model="openai/gpt-5",
        context={"type": "DataFrame", "summary": "DataFrame 1,000,000 x 6, 48.0 MB", "bytes": 48_000_000},
    )
    story.agent("0", "Which supplier explains the rise in refunds, and since when?")
    story.turn(
        "0", "I divide.", "parts = rlm_query_batched(questions, contexts=parts)", "3 rows " * 60, cost=0.012
    )
    for number in range(1, 4):
        story.agent(f"0.{number}", f"Read the refunds of part {number}", after=0.1)
        story.turn(f"0.{number}", cost=0.004)
        story.end_agent(f"0.{number}", value={"type": "dict", "summary": "dict of 2 keys"}, after=0.1)
    if "error" in ended and value is None:
        story.end_agent("0", status, error=str(ended["error"]))
        story.end(status, **ended)
        return story
    made, about = excerpt(value), describe(value)
    story.end_agent("0", status, value=about)
    story.end(
        status,
        value=about,
        excerpt=json.loads(json.dumps({**made.part, "whole": made.whole})),
        pictures=tuple(map(_picture, made.pictures)),
        **ended,
    )
    return story


def failed() -> Story:
    """A run without an answer."""
    error = "Agent `0` gave no answer within its 20 turns.\nRaise the limit `calls_per_agent`, or ask a smaller question."
    return story_of(None, "failed", error=error, error_type="NoAnswerError")


def stopped() -> Story:
    """A run with a part of its answer."""
    return story_of(suppliers(), "stopped", error="The run was stopped.", error_type="RunStoppedError")


PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A card</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/rlm_jupyter/views/static/widget.css">
<style>body {{ margin: 0; padding: 12px; }}
body[data-jp-theme-light="true"] {{ background: #fff; --jp-layout-color0: #fff; --jp-layout-color2: #eee;
--jp-border-color2: #e0e0e0; --jp-content-font-color1: rgba(0, 0, 0, 0.87);
--jp-content-font-color2: rgba(0, 0, 0, 0.6); }}
body[data-jp-theme-light="false"] {{ background: #111; --jp-layout-color0: #111; --jp-layout-color2: #424242;
--jp-border-color2: #616161; --jp-content-font-color1: #fff; --jp-content-font-color2: rgba(255, 255, 255, 0.7); }}
body.static {{ font: 13px system-ui, sans-serif; }}
</style></head><body data-jp-theme-light="{light}" class="{kind}"><main id="host">{body}</main>{script}</body></html>"""

SCRIPT = """<script type="module">
import factory from "/rlm_jupyter/views/static/widget.js";
const listeners = [];
const messages = JSON.parse(document.getElementById("messages").textContent);
const model = {
  get: () => undefined, set() {}, save_changes() {}, off() {},
  on(name, listener) { if (name === "msg:custom") listeners.push(listener); },
  send(message) {
    if (message.kind === "hello") for (const each of messages) for (const listener of listeners) listener(each);
  },
};
const widget = await factory();
const signal = new AbortController().signal;
await widget.initialize({ model, signal });
await widget.render({ model, el: document.getElementById("host"), signal });
</script>"""


def widget_page(story: Story, *, dark: bool = False) -> str:
    """Returns a page with the widget on a run, for a server of the checkout's files."""
    told = json.dumps(Patcher(story.state).snapshot()).replace("<", "\\u003c")
    script = f'<script type="application/json" id="messages">{told}</script>{SCRIPT}'
    return PAGE.format(light=str(not dark).lower(), kind="widget", body="", script=script)


def static_page(story: Story, *, dark: bool = False) -> str:
    """Returns a page with the static tree of a run."""
    return PAGE.format(light=str(not dark).lower(), kind="static", body=static_html(story.state), script="")
