"""Tells made-up runs as events, as the engine would: for tests of what is folded, shown and logged from them."""

import threading

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState

FRAME = {
    "type": "DataFrame",
    "summary": "DataFrame 3 x 2, 216 B",
    "bytes": 216,
    "shape": [3, 2],
    "columns": [
        {"name": "supplier", "dtype": "str", "nulls": 0},
        {"name": "refunds", "dtype": "int64", "nulls": 1},
    ],
    "rows": [["North", "12"], ["South", "7"]],
}


class Story:
    """Makes events in order; each method gives what it told. `time` moves by a second unless told otherwise."""

    def __init__(self, question="Why?", *, start=1000.0, run="7f3a", **started):
        self.run, self.time, self.events, self.calls, self.cells = run, start, [], 0, 0
        self.state = TreeState()
        defaults = {
            "model": "m-1",
            "sub_model": "m-2",
            "scripted": False,
            "limits": {"cost": 1.0},
            "context": None,
        }
        self.tell(ev.RunStarted, question=question, **{**defaults, **started})

    def tell(self, kind, agent="", *, after=1.0, **fields):
        self.time += after
        event = kind(run=self.run, agent=agent, seq=len(self.events) + 1, time=self.time, **fields)
        self.events.append(event)
        self.state.apply(event)
        return event

    def agent(self, id_="0", question="Sub-question", **fields):
        parent = id_.rpartition(".")[0] or None
        fields = {"depth": id_.count("."), "model": "m-1", **fields}
        return self.tell(ev.AgentStarted, id_, parent=parent, question=question, **fields)

    def prompt(self, agent="0", content="the question", *, start=0, purpose="turn", turn=1):
        self.calls, self.asker = self.calls + 1, agent
        messages = ({"role": "user", "content": content},)
        fields = {"call": self.calls, "purpose": purpose, "turn": turn, "model": "m-1"}
        return self.tell(ev.PromptSent, agent, start=start, messages=messages, **fields)

    def reply(self, agent="0", text="I look.", *, cost=0.001, tokens=(100, 20), call=None, **more):
        fields = {
            **more,
            "call": call or self.calls,
            "text": text,
            "model": "m-1",
            "finish_reason": "stop",
            "cost": cost,
        }
        usage = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
        return self.tell(ev.ReplyFinished, agent, seconds=1.0, **fields, **usage)

    def cell(self, agent="0", code="context.head()", output="3 rows", *, turn=1, finish=True, **done):
        self.cells += 1
        self.tell(ev.CodeStarted, agent, cell=self.cells, turn=turn, code=code)
        if finish:
            fields = {"status": "ok", "seconds": 0.5, **done}
            self.tell(ev.CodeFinished, agent, cell=self.cells, output=output, **fields)

    def turn(self, agent="0", text="I look.", code="context.head()", output="3 rows", *, turn=1, cost=0.001):
        self.prompt(agent, turn=turn, start=2 * (turn - 1))
        self.reply(agent, text, cost=cost)
        self.cell(agent, code, output, turn=turn)

    def variables(self, agent="0", **named):
        told = tuple({"name": name, **item} for name, item in named.items())
        return self.tell(ev.VariablesChanged, agent, turn=1, variables=told)

    def end_agent(self, agent="0", status="done", **fields):
        return self.tell(ev.AgentFinished, agent, status=status, **fields)

    def end(self, status="done", **fields):
        return self.tell(ev.RunFinished, status=status, **fields)


def example():
    """A finished run: a root with two sub-agents, one of which failed; one completion has no known price."""
    story = Story(
        "Which supplier explains the rise?", context={"summary": "DataFrame 1,000 x 6", "bytes": 48_000}
    )
    story.agent("0", "Which supplier explains the rise?")
    story.turn("0", "I divide.", "a = rlm_query('Profile', context)\nb = rlm_query('Date', context)", "")
    story.agent("0.1", "Profile the refunds", name="profile")
    story.turn("0.1", cost=0.002)
    story.variables("0.1", counts=FRAME)
    story.end_agent("0.1", value=FRAME)
    story.agent("0.2", "Find the date")
    story.turn("0.2", cost=None)
    story.end_agent("0.2", "failed", error="KernelDiedError: its kernel died.\nStart it again.")
    story.prompt("0", "and this?", purpose="llm_query")
    story.reply("0", "That.", cost=0.0005)
    story.end_agent("0", value={"type": "str", "summary": "'North'", "preview": "North"})
    story.end(value={"type": "str", "summary": "'North'", "preview": "North"})
    return story


def calls_of_all_kinds():
    """A run whose root asked plainly: once from the cache, once again for its schema, once in vain."""
    story = Story()
    story.agent("0")
    story.turn("0")
    story.prompt("0", "a question", purpose="llm_query")
    story.reply("0", "kept", cost=0.0, cached=True, attempts=0)
    story.prompt("0", "again, as JSON", purpose="repair")
    story.reply("0", "{}", attempts=3)
    story.prompt("0", "a part", purpose="fallback")
    story.tell(ev.ReplyFailed, "0", call=story.calls, error="no credit", seconds=1.0, attempts=2)
    return story


class StandIn:
    """Has a run's face for views: a state that a test moves, and a note of each command."""

    def __init__(self, story):
        self.story, self.id, self.tree, self.lock = story, story.run, story.state, threading.RLock()
        self.commands, self.listeners, self.agents = [], [], {}

    @property
    def events(self):
        return list(self.story.events)

    @property
    def done(self):
        return self.tree.status != "running"

    def subscribe(self, listener):
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def stop(self, agent=None):
        self.commands.append(("stop", agent))

    def next(self, agent=None, code=None):
        self.commands.append(("next", agent, code))

    def pause(self):
        self.commands.append(("pause",))

    def resume(self):
        self.commands.append(("resume",))
