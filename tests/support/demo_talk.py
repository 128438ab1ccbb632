"""Talks with the demo model without kernels: its cells run here, by `exec`, through the real prompts and parser.

Quick enough for hundreds of cases; `test_models_demo.py` also asks in real kernels.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import traceback

from rlm_jupyter.demo_model.model import DemoModel
from rlm_jupyter.engine.agent import prompt
from rlm_jupyter.engine.budget.ledger import Left
from rlm_jupyter.engine.reply.parse import parse_reply
from rlm_jupyter.kernels.agent_kernel import CellResult
from rlm_jupyter.models.base import CompletionRequest
from rlm_jupyter.text.shorten import CutText
from rlm_jupyter.values.describe.api import describe

_NO_VALUE = object()


class Talk:
    """One question to the demo, answered: the root's `value`, and all agents' questions, replies and outputs."""

    def __init__(
        self, question, context=None, *, names=(), depth=2, turns=20, agents=10**6, output_chars=8000
    ):
        self.depth_limit, self.turn_limit, self.agents_left = depth, turns, agents - 1
        self.output_chars = output_chars
        self.questions: list[tuple[int, str]] = []
        self.replies: list[str] = []
        self.outputs: list[str] = []
        self.deepest = 0
        self.root = None
        self.value = self._agent(question, context, names, 0)

    def ask(self, question):
        """Ask a follow-up question, in the words in which the engine hands it to a model; the value of it."""
        messages, space, given, reply = self.root
        said = "Your answer was taken: dict of 3 keys. A follow-up question; your kernel and all its variables are"
        asked = f"{said} as you left them.\n\nQuestion:\n{question}\n\nFINAL takes any object."
        messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": asked}]
        self.questions, self.replies, self.outputs, self.deepest = [(0, question)], [], [], 0
        given.clear()
        self.value = self._turns(messages, space, given, 0)
        return self.value

    def _agent(self, question, context, names, depth):
        self.deepest = max(self.deepest, depth)
        self.questions.append((depth, question))
        leaf = depth >= self.depth_limit
        description = None if context is None else describe(context)
        first = prompt.first_message(
            question, description, names=names, left=_left(self.turn_limit), last_turn=self.turn_limit == 1
        )
        messages = prompt.chat(prompt.system_prompt(leaf=leaf), first)
        given = []
        space = {
            "context": question if context is None else context,
            "FINAL": given.append,
            "rlm_query_batched": lambda questions, contexts: [
                self._child(q, c, depth + 1) for q, c in zip(questions, contexts, strict=True)
            ],
        }
        return self._turns(messages, space, given, depth)

    def _turns(self, messages, space, given, depth):
        for turn in range(1, self.turn_limit + 1):
            reply = asyncio.run(DemoModel().complete(CompletionRequest(messages))).text
            self.replies.append(reply)
            blocks = parse_reply(reply).blocks
            assert len(blocks) == 1, reply
            output = self._run(blocks[0], space)
            if given:
                if depth == 0:
                    self.root = (messages, space, given, reply)
                return given[-1]
            shown = prompt.observation([output], total=1, last_turn=turn == self.turn_limit - 1)
            messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": shown}]
        raise AssertionError(f"no answer after {self.turn_limit} turns: {self.outputs[-1]}")

    def _child(self, question, context, depth):
        if self.agents_left <= 0:
            return None
        self.agents_left -= 1
        return self._agent(question, context, (), depth)

    def _run(self, code, space):
        out, status, error = io.StringIO(), "ok", ""
        with contextlib.redirect_stdout(out):
            try:
                exec(compile(code, "<cell>", "exec"), space)
            except Exception:
                status, error = "error", traceback.format_exc()
        self.outputs.append(out.getvalue() + error)
        result = CellResult(
            status=status,
            error_name="",
            error_value="",
            printed=CutText(out.getvalue()),
            frames=CutText(error),
        )
        return prompt.show_result(result, self.output_chars)[0]


def _left(turns):
    return Left(turns=turns)
