"""Plans in words after every so many turns: asked for, kept in the chat in the place of the older one, paid for."""

import json

import pytest
from run_parts import asking
from scripts import cell

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.agent.prompt import system_prompt
from rlm_jupyter.errors import ModelError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.views import text_tree
from rlm_jupyter.views.run_statistics import statistics

ASKS = "Before you go on, write a short plan in words"
TURNS = [f"print('output {n}')\nfound_{n} = len(context)" for n in range(1, 6)]


class Planner:
    """A scripted model that is asked for turns and plans, and keeps what it was sent."""

    def __init__(self, turns=(*TURNS, "FINAL(found_1)"), plan=None, fails=False):
        self.turns, self.plan, self.fails = turns, plan, fails
        self.plans, self.chats = [], []
        self.model = ScriptedModel(self.reply, name="planner")

    def reply(self, messages):
        if ASKS in messages[-1]["content"]:
            self.plans.append([dict(one) for one in messages])
            if self.fails:
                raise ModelError("The server has no plan.")
            number = len(self.plans)
            return self.plan or f"Plan {number}: go on.\n```repl\nFINAL('from a plan')\n```"
        self.chats.append([dict(one) for one in messages])
        turn = sum(message["role"] == "assistant" for message in messages)
        return cell(self.turns[min(turn, len(self.turns) - 1)])


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("planning")) as ask:
        yield ask


def said(chat):
    return "\n".join(message["content"] for message in chat)


def test_a_plan_is_made_after_every_so_many_turns_and_replaces_the_older_one(ask):
    planner = Planner()
    run = ask({}, "root", "text", model=planner.model, settings={"planning": 2})
    assert run.error is None, run.error
    assert run.value == 4  # no code of a plan was run
    agent = run.tree.agents["0"]
    assert [(call.purpose, call.turn) for call in agent.calls] == [("plan", 3), ("plan", 5)]
    assert len(agent.turns) == 6
    assert [message["role"] for message in planner.plans[0]] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert "Plan 1" not in said(planner.chats[1])
    assert planner.chats[2][-1]["content"].endswith("Your plan (made before turn 3):\nPlan 1: go on.")
    assert said(planner.chats[3]).count("Plan 1: go on.") == 1
    assert "Plan 1" not in said(planner.chats[4])
    assert planner.chats[4][-1]["content"].endswith("Plan 2: go on.")
    for chat in planner.chats:
        assert ASKS not in said(chat)
        assert "from a plan" not in said(chat)
    assert all(f"output {n}" in said(planner.chats[5]) for n in range(1, 6))  # nothing else has left the chat
    shown = text_tree.show_agent(run.tree, "0")
    assert "Plan before turn 3" in shown
    assert shown.index("Plan 1: go on.") < shown.index("output 3") < shown.index("Plan 2: go on.")
    assert "plain completion" not in shown
    assert "2 plans" in statistics(run.tree)
    frame = run.frame("calls")
    assert list(frame.loc[frame["purpose"] == "plan", "turn"]) == [3, 5]
    assert said(run.messages()).count("Your plan") == 1


def test_without_the_setting_nothing_is_asked_or_said(ask):
    planner = Planner()
    run = ask({}, "root", "text", model=planner.model)
    assert (run.value, planner.plans) == (4, [])
    other = Planner()
    ask({}, "root", "text", model=other.model, settings={"planning": 10})
    assert [said(chat) for chat in planner.chats] == [said(chat) for chat in other.chats]
    chat = planner.chats[-1]  # who uses none of this is told not a character of it
    assert chat[0]["content"] == system_prompt(kind="text")
    assert [message["content"] for message in chat[3::2]] == [f"Output:\noutput {n}" for n in range(1, 6)]
    assert not any(
        word in said(chat) for word in ("load_skill", "skill", "grep(", "chunks(", "peek(", "plan ")
    )


def test_a_plan_is_no_turn_and_is_paid_for(ask):
    planner = Planner()
    limits = Limits(calls=7, calls_per_agent=6, cost=None)
    run = ask({}, "root", "text", model=planner.model, limits=limits, settings={"planning": 2})
    assert run.value == 4
    assert len(planner.plans) == 1  # for the second one, with two turns left, the rest is kept
    assert run.tree.calls == 7
    assert all(
        request.max_tokens <= 600 for request in planner.model.requests if ASKS in said(request.messages)
    )


def test_a_plan_that_fails_ends_nothing(ask):
    planner = Planner(fails=True)
    run = ask({}, "root", "text", model=planner.model, settings={"planning": 3})
    assert run.value == 4
    assert any("There is no plan before turn 4" in text for text in run.tree.agents["0"].notices)
    assert "Your plan" not in said(planner.chats[-1])


@pytest.mark.parametrize(
    ("plan", "kept"),
    [
        ("```repl\nprint(1)\n```", ""),
        ("<think>\nhidden\n</think>\nNext: count.", "Next: count."),
        ("x" * 9000, "x" * 1999),
    ],
)
def test_of_a_plan_only_its_words_are_kept(ask, plan, kept):
    planner = Planner(plan=plan)
    ask({}, "root", "text", model=planner.model, settings={"planning": 4})
    last = planner.chats[4][-1]["content"]
    assert ("Your plan" in last) is bool(kept)
    assert kept in last
    assert len(last) < 3000
    assert "hidden" not in last


def test_a_resumed_run_has_its_plans_and_pays_for_none(ask, tmp_path):
    planner = Planner((*TURNS, "raise SystemError", "raise ValueError"))
    limits = Limits(cost=None, calls_per_agent=7)
    first = ask({}, "root", "text", model=planner.model, limits=limits, settings={"planning": 2})
    assert first.status == "limit"
    again = Planner((*TURNS, "", "", "FINAL('resumed')"))
    rlm = RLM(
        model=again.model, log_dir=first.log_path.parent, cache=False, planning=2, limits=Limits(cost=None)
    )
    with rlm.resume(first.log_path) as run:
        run.wait(100)
        assert run.value == "resumed"
        assert again.plans == []  # both are in the record
        assert "Plan 2" in said(again.chats[-1])
        assert "Plan 1" not in said(again.chats[-1])


def test_a_log_with_plans_is_replayed_as_it_was(ask, tmp_path):
    planner = Planner()
    first = ask({}, "root", "text", model=planner.model, settings={"planning": 2})
    rlm = RLM(model=f"replay:{first.log_path}", log_dir=None, cache=False, planning=2)
    with rlm.run("root", "text") as run:
        assert run.value == 4
        assert [call.text for call in run.tree.agents["0"].calls] == [
            call.text for call in first.tree.agents["0"].calls
        ]
        assert not run.model.departures
    kinds = [json.loads(line)["kind"] for line in first.log_path.read_text().splitlines()]
    assert kinds.count("prompt_sent") == 8


def test_a_follow_up_goes_on_with_one_plan(ask):
    planner = Planner((*TURNS, "FINAL(1)", *TURNS[:3], "FINAL(2)"))
    run = ask({}, "root", "text", model=planner.model, settings={"planning": 2})
    more = run.ask("more")
    try:
        assert said(planner.chats[-1]).count("Your plan (made") == 1
    finally:
        more.close()
