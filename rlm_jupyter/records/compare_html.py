"""A comparison as HTML: one block with its own style, without a script; all text of models and data is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rlm_jupyter.records.compare_text import (
    HEADS,
    MARKS,
    agent_told,
    cells_of,
    left_out_told,
    questions_of,
    turn_told,
    value_told,
    verdict_of,
)
from rlm_jupyter.records.matching import code_of
from rlm_jupyter.text.sanitize import clean

if TYPE_CHECKING:
    from rlm_jupyter.records.compare import Comparison
    from rlm_jupyter.records.matching import AgentPair, TurnPair, Verdict

_MOST_CHARACTERS = 2_000_000
_CODE = 20_000
_OUTPUT = 2000
_WORDS: dict[Verdict, str] = {
    "same": "the same",
    "changed": "changed",
    "left": "only on the left",
    "right": "only on the right",
}

_STYLE = """
.rlm-compare{--f:#1f2328;--d:#59636e;--b:#d1d9e0;--m:#ffebe9;--p:#dafbe1;
--rf:var(--jp-content-font-color1,var(--vscode-editor-foreground,var(--f)));
--rd:var(--jp-content-font-color2,var(--vscode-descriptionForeground,var(--d)));
--rb:var(--jp-border-color2,var(--vscode-panel-border,var(--b)));
color:var(--rf);font-size:13px;line-height:1.5}
@media (prefers-color-scheme:dark){.rlm-compare{--f:#e6edf3;--d:#9198a1;--b:#3d444d;--m:#67060c66;--p:#033a1666}}
[data-jp-theme-light=false] .rlm-compare{--m:#67060c66;--p:#033a1666}
[data-jp-theme-light=true] .rlm-compare{--m:#ffebe9;--p:#dafbe1}
.rlm-compare.rlm-compare table{border-collapse:collapse;margin:4px 0;font-size:12px;width:100%;table-layout:fixed}
.rlm-compare.rlm-compare .rlm-c-runs{table-layout:auto;width:auto}
.rlm-compare .rlm-c-wide{overflow-x:auto}
.rlm-compare.rlm-compare :is(td,th){border:1px solid var(--rb);padding:2px 6px;text-align:left;vertical-align:top;
overflow-wrap:anywhere;background:none;color:inherit}
.rlm-compare.rlm-compare :is(th,td).rlm-c-mark{width:5.5em;color:var(--rd);text-align:center}
.rlm-compare.rlm-compare pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;background:none;color:inherit;
font-size:12px;font-family:var(--jp-code-font-family,ui-monospace,monospace)}
.rlm-compare.rlm-compare td.rlm-c-minus{background:var(--m)}
.rlm-compare.rlm-compare td.rlm-c-plus{background:var(--p)}
.rlm-compare .rlm-c-dim{color:var(--rd)}
.rlm-compare summary{cursor:pointer}
"""


def page_of(made: Comparison) -> str:
    """Returns a comparison as HTML."""
    parts = [
        f'<div class="rlm-compare tex2jax_ignore mathjax_ignore"><style>{_STYLE}</style>',
        _runs(made),
        *(f"<p>{_text(line)}</p>" for line in (*questions_of(made), verdict_of(made))),
    ]
    if made.agents:
        parts.append(_side_by_side(made))
    return "".join([*parts, "</div>"])


def _runs(made: Comparison) -> str:
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    rows = []
    for row in made.rows:
        first, *cells = cells_of(row)
        others = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{_text(first)}</th>{others}</tr>')
    return (
        f'<div class="rlm-c-wide"><table class="rlm-c-runs"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _side_by_side(made: Comparison) -> str:
    left, right = (_text(row.run) for row in made.rows)
    head = f'<th scope="col">{left}</th><th scope="col" class="rlm-c-mark"></th><th scope="col">{right}</th>'
    rows: list[str] = []
    size, cut = 0, 0
    for row in (row for pair in made.agents for row in _agent_rows(pair)):
        size += len(row)
        if size > _MOST_CHARACTERS:
            cut += 1
        else:
            rows.append(row)
    told = [left_out_told(made), f"{cut:,} more rows are not shown." if cut else ""]
    notes = "".join(f"<p>{_text(line)}</p>" for line in told if line)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{notes}"


def _agent_rows(pair: AgentPair) -> Iterator[str]:
    sides = [agent_told(agent) if agent is not None else "" for agent in (pair.left, pair.right)]
    strong = [f"<strong>{_text(side)}</strong>" if side else "" for side in sides]
    yield _row(strong[0], pair.verdict, strong[1])
    for turn in pair.turns:
        yield from _turn_rows(turn)
    values = [value_told(agent) if agent is not None else "" for agent in (pair.left, pair.right)]
    if any(values):
        yield _row(_text(values[0]), pair.answer_verdict, _text(values[1]))


def _turn_rows(pair: TurnPair) -> Iterator[str]:
    told = [turn_told(turn) if turn is not None else "" for turn in (pair.left, pair.right)]
    dim = [f'<span class="rlm-c-dim">{_text(side)}</span>' if side else "" for side in told]
    code = [code_of(turn) if turn is not None else "" for turn in (pair.left, pair.right)]
    if pair.verdict == "same":
        folded = f"<details><summary>{dim[0]}</summary>{_pre(code[0])}</details>"
        yield _row(folded, "same", dim[1])
    else:
        yield _row(dim[0], pair.verdict, dim[1])
        if pair.left is None or pair.right is None:
            yield _row(_pre(code[0]), pair.verdict, _pre(code[1]))
        for lines in pair.lines:
            one, other = (_pre(line) if line is not None else "" for line in (lines.left, lines.right))
            yield _row(one, lines.verdict, other)
    if not pair.same_output and pair.left is not None and pair.right is not None:
        printed = ["\n".join(cell.output for cell in turn.cells) for turn in (pair.left, pair.right)]
        shown = [f"<details><summary>Output</summary>{_pre(text, _OUTPUT)}</details>" for text in printed]
        yield _row(shown[0], "changed", shown[1])


def _row(left: str, verdict: Verdict, right: str) -> str:
    minus = ' class="rlm-c-minus"' if verdict in ("changed", "left") and left else ""
    plus = ' class="rlm-c-plus"' if verdict in ("changed", "right") and right else ""
    word, sign = _WORDS[verdict], html.escape(MARKS[verdict])
    mark = f'<td class="rlm-c-mark" title="{word}" aria-label="{word}">{sign}</td>'
    return f"<tr><td{minus}>{left}</td>{mark}<td{plus}>{right}</td></tr>"


def _pre(code: str, most: int = _CODE) -> str:
    return f"<pre>{_text(code, most) or ' '}</pre>"


def _text(text: str, most: int = 5000) -> str:
    return html.escape(clean(text, most))
