"""What of a run's data was sent to providers: which values of which columns, by request, and how much in all."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.security.hidden.hidden_columns import ColumnFinder
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.text.units import amount, count

if TYPE_CHECKING:
    from rlm_jupyter.events.agent_state import CallState
    from rlm_jupyter.events.tree_state import TreeState
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues

_TOKEN = re.compile(r"⟨([^⟨⟩:\s]{1,40}):(\d{1,10}|part)(?: in (?:base64|hex|reverse))?⟩")
_LISTED: Final = 8
_LONGEST: Final = 40
_PART: Final = "part"


@dataclass
class SentValues:
    """What one request took along that was not sent before.

    Attributes:
        agent: who asked.
        turn: in which of its turns.
        call: the number of the request in the run.
        purpose: `turn`, `llm_query`, …
        cached: whether the reply came from the cache: then nothing was sent.
        data_tokens: tokens of data, as the limit `exposure` counts them.
        tokens: of hidden columns: how often each token stood there.
        values: of the other columns: how often each value stood there.
    """

    agent: str
    turn: int
    call: int
    purpose: str
    cached: bool
    data_tokens: int
    tokens: dict[str, Counter[str]] = field(default_factory=dict)
    values: dict[str, Counter[str]] = field(default_factory=dict)


def sent_values(tree: TreeState, data: Any = None) -> list[SentValues]:
    """Returns what each request of a run took along.

    Args:
        tree: of the run; hold the run's lock while it is live.
        data: that the run was asked about; None: only tokens of hidden columns are counted.
    """
    known = _all_columns(data)
    found = []
    for _, (agent, call) in sorted(tree.completions.items()):
        one = SentValues(agent, call.turn, call.call, call.purpose, call.cached, call.data_tokens)
        _count(one, call, frozenset(tree.hidden), known)
        found.append(one)
    return found


def _all_columns(data: Any) -> HiddenValues | None:
    """Returns what finds the values of all columns of data, as if they were to be hidden."""
    if data is None:
        return None
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues

    finder = ColumnFinder(("*",))
    finder.search(data)
    return HiddenValues(list(finder.columns.values()))


def _count(one: SentValues, call: CallState, hidden: frozenset[str], known: HiddenValues | None) -> None:
    for message in call.messages:
        if message["role"] == "system":
            continue
        text = message["content"]
        for match in _TOKEN.finditer(text):
            if match[1] in hidden:
                one.tokens.setdefault(match[1], Counter())[match[0]] += 1
        if known is None or message["role"] == "assistant":
            continue
        for label, numbers in known.counts(known.hide(_TOKEN.sub("", text))).items():
            if label not in hidden:
                counted = one.values.setdefault(label, Counter())
                for number, times in numbers.items():
                    counted[_shown(known, label, number)] += times


def _shown(known: HiddenValues, label: str, number: str) -> str:
    if number == _PART:
        return "a part of a value"
    return one_line(str(known.columns[label].value(int(number) - 1)), _LONGEST)


def sent_text(tree: TreeState, sent: list[SentValues], *, with_data: bool) -> str:
    """Returns in lines what was sent, the whole first and then each request.

    Args:
        tree: of the run.
        sent: of each of its requests.
        with_data: whether the values of columns that are not hidden were looked for.
    """
    limit = tree.limits.get("exposure")
    most = f" of {count(int(limit))}" if limit is not None else ""
    requests = sum(not one.cached for one in sent)
    run, sums = one_line(tree.run, 40), f"{count(tree.data_tokens)}{most} tokens of data"
    lines = [f"Run {run}: {sums} in {amount(requests, 'request')}"]
    if tree.hidden:
        labels = ", ".join(one_line(label, _LONGEST) for label in tree.hidden)
        lines.append(f"Hidden: {labels}. Tokens were sent in the place of their values.")
    if not with_data:
        lines.append(
            "The run's data is no longer held: values of columns that are not hidden are not listed."
        )
    elif not any(one.values for one in sent):
        lines.append("No value of any other column was found in what was sent.")
    lines += _columns("In all", _summed(sent, "tokens"), _summed(sent, "values"))
    for one in sent:
        where = f"Agent {one_line(one.agent, 40)}, turn {one.turn}, {one.purpose}"
        told = (
            "from the cache, nothing was sent" if one.cached else f"{count(one.data_tokens)} tokens of data"
        )
        lines.append(f"{where}: {told}")
        lines += _columns("", one.tokens, one.values)
    return "\n".join(lines)


def _summed(sent: list[SentValues], name: str) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for one in sent:
        for label, counted in getattr(one, name).items() if not one.cached else ():
            found.setdefault(label, Counter()).update(counted)
    return found


def _columns(title: str, tokens: dict[str, Counter[str]], values: dict[str, Counter[str]]) -> list[str]:
    lines = [f"  {one_line(label, _LONGEST)}: {_listed(found)}" for label, found in sorted(values.items())]
    lines += [
        f"  {one_line(label, _LONGEST)} (hidden): {_listed(found)}" for label, found in sorted(tokens.items())
    ]
    return [f"{title}:", *lines] if title and lines else lines


def _listed(found: Counter[str]) -> str:
    shown = ", ".join(f"{value} x{times}" for value, times in found.most_common(_LISTED))
    more = f", and {count(len(found) - _LISTED)} more" if len(found) > _LISTED else ""
    return f"{amount(len(found), 'value')}, {amount(found.total(), 'time')}: {shown}{more}"
