"""Events of a run that a test makes up, in the order in which they are told."""

import itertools

from rlm_jupyter.events import events as ev


class MadeRun:
    """Collects events; time is that of a clock which the test moves.

    Attributes:
        events: so far.
        now: seconds.
    """

    def __init__(self, question="the question", **started):
        self.events = []
        self.now = 1000.0
        self._calls = itertools.count(1)
        self._cells = itertools.count(1)
        told = {"model": "large", "sub_model": "small", "scripted": False, "limits": {}, "context": None}
        self.add(ev.RunStarted, "", question=question, **{**told, **started})
        self.agent("0", question)

    def add(self, kind, agent, **fields):
        self.events.append(kind(run="made", agent=agent, seq=len(self.events) + 1, time=self.now, **fields))

    def agent(self, id_, question="a part", **fields):
        parent = id_.rpartition(".")[0] or None
        fields = {"model": "large", "depth": id_.count("."), "parent": parent, **fields}
        self.add(ev.AgentStarted, id_, question=question, **fields)

    def call(self, agent="0", turn=1, text="", prompt="go on", *, purpose="turn", seconds=1.0, **reply):
        """A completion with its reply; `error` instead of a reply where it failed."""
        number = next(self._calls)
        sent = {"call": number, "purpose": purpose, "turn": turn, "model": "large"}
        self.add(ev.PromptSent, agent, messages=({"role": "user", "content": prompt},), **sent)
        self.now += seconds
        if "error" in reply:
            self.add(ev.ReplyFailed, agent, call=number, seconds=seconds, **reply)
            return
        told = {
            "model": "large",
            "finish_reason": "stop",
            "input_tokens": 100,
            "output_tokens": 10,
            "cost": 0.01,
        }
        self.add(ev.ReplyFinished, agent, call=number, text=text, seconds=seconds, **{**told, **reply})

    def cell(self, agent="0", turn=1, code="x = 1", *, status="ok", output="", seconds=0.1, **fields):
        number = next(self._cells)
        self.add(ev.CodeStarted, agent, cell=number, turn=turn, code=code)
        self.now += seconds
        told = {"cell": number, "status": status, "output": output, "seconds": seconds}
        self.add(ev.CodeFinished, agent, **told, **fields)

    def turn(self, agent="0", turn=1, code="x = 1", prompt="go on", **cell):
        """A turn of one cell."""
        self.call(agent, turn, f"```repl\n{code}\n```", prompt)
        self.cell(agent, turn, code, **cell)

    def end(self, status="done", **fields):
        self.add(ev.AgentFinished, "0", status=status)
        self.add(ev.RunFinished, "", status=status, **fields)
        return self.events
