"""What the scripted server replies to each contender: the same work, in the words of that one's API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.peers.figures import CALL_SECONDS, TURN_SECONDS, Sizes


@dataclass(frozen=True)
class Words:
    """How a model speaks to a contender.

    Attributes:
        reply: a whole reply; `{code}` is where its code stands.
        value: code that ends an agent with the value of `{value}`.
        batch: code that asks `{prompts}` at once, for `parts`; None: there is no agent, the adapter asks.
        agents: code that starts a sub-agent for each of `{prompts}`, for `parts`; None: the same.
    """

    reply: str
    value: str
    batch: str | None = None
    agents: str | None = None


_DSPY = "[[ ## reasoning ## ]]\nI run this.\n\n[[ ## code ## ]]\n```python\n{code}\n```\n\n[[ ## completed ## ]]\n"
# `llm_query_batched` of DSPy asks eight at once; for sub-agents, it has no batch.
_THREADS = """\
from concurrent.futures import ThreadPoolExecutor
def ask(prompt):
    import dspy
    return dspy.RLM("context, question -> answer")(context=prompt, question=prompt).answer
with ThreadPoolExecutor({width}) as threads:
"""

WORDS = {
    "floor": Words("```python\n{code}\n```", "value = {value}"),
    "ours": Words(
        "I run this.\n\n```repl\n{code}\n```",
        "FINAL({value})",
        "parts = llm_query_batched({prompts})",
        "parts = rlm_query_batched({prompts}, contexts=list(range({width})))",
    ),
    "dspy": Words(
        _DSPY,
        "SUBMIT(answer={value})",
        _THREADS + "    parts = list(threads.map(llm_query, {prompts}))",
        _THREADS + "    parts = list(threads.map(ask, {prompts}))",
    ),
    "dspy-host": Words(_DSPY, "SUBMIT(answer={value})"),
    "rlms": Words(
        "I run this.\n\n```repl\n{code}\n```",
        'answer["content"] = str({value})\nanswer["ready"] = True',
        "parts = llm_query_batched({prompts})",
        "parts = rlm_query_batched({prompts})",
    ),
}

_BATCH = """\
import time
began = time.monotonic()
{call}
took = time.monotonic() - began
{value}"""


def replies(contender: str, sizes: Sizes) -> dict[str, list[dict[str, Any]]]:
    """Returns the replies of all agents: name → turns, each as `Server.play` wants them.

    A root that only starts a batch gets its reply at once: the time of its one turn is not what is measured.
    """
    words = WORDS[contender]
    agents = {
        "one": [words.value.format(value="1 + 1")],
        "turns": [f"x{n} = {n}\nprint(x{n})" for n in range(sizes.turns - 1)]
        + [words.value.format(value="1 + 1")],
        "part": ["print(context)", words.value.format(value="str(context)")],
    }
    for name, call, width in (("batch", words.batch, sizes.calls), ("agents", words.agents, sizes.agents)):
        if call is not None:
            kind = "plain" if name == "batch" else "part"
            prompts = f'[f"[{kind}] {{n}}" for n in range({width})]'
            asked = call.format(prompts=prompts, width=width)
            value = words.value.format(value='f"{len(parts)} {len(set(map(str, parts)))} {took}"')
            agents[name] = [_BATCH.format(call=asked, value=value)]
    seconds = {"part": TURN_SECONDS}
    made = {
        name: [
            {"text": words.reply.format(code=f"# turn {n}\n{code}"), "latency": seconds.get(name, 0.0)}
            for n, code in enumerate(codes, 1)
        ]
        for name, codes in agents.items()
    }
    return {**made, "plain": [{"text": "ok", "latency": CALL_SECONDS}]}
