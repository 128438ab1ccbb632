"""The tree after any number of a run's events is the one folded from these: whole logs, torn ones, and made ones."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from run_story import FRAME, Story, calls_of_all_kinds, example

from rlm_jupyter.errors import LogError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events import tree_history
from rlm_jupyter.events.tree_history import TreeHistory
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.records import load

LOGS = sorted((Path(__file__).parents[1] / "logs").glob("*.jsonl"))


def written(tmp_path):
    """Fifty logs: those of runs, whole and cut at any byte, and made ones with lines lost, twice and out of order."""
    made = {path.name: path.read_bytes() for path in LOGS}
    dice = random.Random(7)
    for path in LOGS:
        for part in (0.3, 0.5, 0.7, 0.9):
            whole = path.read_bytes()
            made[f"torn-{part}-{path.name}"] = whole[: int(len(whole) * part)]
    for number in range(25):
        lines = [event.model_dump_json(by_alias=True) for event in busy(number).events]
        if number % 3 == 1:
            lines = [line for line in lines if dice.random() < 0.8]
        if number % 3 == 2:
            lines = [line for line in lines for _ in range(dice.choice((1, 1, 1, 2)))]
            for _ in range(10):
                one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
                lines[one], lines[other] = lines[other], lines[one]
        made[f"made-{number}.jsonl"] = "\n".join(lines).encode()
    for name, text in made.items():
        (tmp_path / name).write_bytes(text)
    return [tmp_path / name for name in made]


def map_more(story, agent, dice):
    done = dice.randrange(9)
    if done % 2:
        story.tell(ev.RowsMapped, agent, noun="row", total=9, done=done, failed=0)
    else:
        story.tell(ev.FunctionWritten, agent, source=f"f{done}", agreed=9, compared=10, offered=True)


def ask_user(story, agent, dice):
    told = {"number": dice.randrange(3), "question": "Cents?", "options": ("yes", "no")}
    if dice.random() < 0.5:
        story.tell(ev.QuestionAsked, agent, default="no", seconds=9.0, **told)
    else:
        story.tell(ev.QuestionAnswered, agent, answer="no", option=1, by="default", **told)
        story.tell(ev.RunEstimated, runs=told["number"], cost=(0.1, 0.2))


def busy(seed):
    """A run in which all that can change changes: several agents at once, with everything that events tell."""
    dice = random.Random(seed)
    story = calls_of_all_kinds() if seed % 5 == 0 else Story(context={"summary": "list of 9", "bytes": 90})
    story.agent("0")
    agents, open_calls = ["0"], []
    for _ in range(70):
        agent = dice.choice(agents)
        match dice.randrange(14):
            case 0:
                agents.append(f"{agent}.{len(agents)}")
                story.agent(agents[-1], f"part {len(agents)}")
            case 1 | 2:
                story.prompt(agent, "x" * dice.randrange(9), purpose=dice.choice(("turn", "llm_query")))
                open_calls.append((agent, story.calls))
            case 3 | 4 if open_calls:
                owner, call = open_calls.pop(dice.randrange(len(open_calls)))
                story.reply(dice.choice((owner, owner, agent)), call=call, cost=dice.choice((0.01, None)))
            case 5:
                story.cell(agent, finish=dice.random() < 0.8)
            case 6:
                story.tell(ev.CodeOutput, agent, cell=dice.randrange(4), stream="stdout", text="more")
            case 7:
                story.variables(
                    agent, **{f"v{dice.randrange(3)}": {"type": "int", "summary": str(dice.random())}}
                )
            case 8:
                reason, call = dice.choice(("step", "rate_limit")), dice.choice((None, story.calls))
                seconds = dice.choice((0, 3))
                story.tell(ev.Waiting, agent, reason=reason, call=call, seconds=seconds, text="some")
            case 9:
                told = {"turn": 1, "seconds": 1.0, "ok": dice.random() < 0.5}
                story.tell(ev.ToolCalled, agent, name=f"tool{dice.randrange(2)}", **told)
            case 10:
                told = {"source": "DuckDB", "text": "SELECT 1", "turn": 1, "seconds": 1.0, "ok": True}
                story.tell(ev.TableQueried, agent, rows=dice.randrange(9), **told)
            case 11 | 12:
                dice.choice((map_more, ask_user))(story, agent, dice)
            case _:
                story.tell(ev.Notice, dice.choice(("", agent)), text="noted")
    story.tell(ev.ValueReturned, "0", description=FRAME, bytes=9)
    story.tell(ev.Command, name="limit", detail="cost=2")
    story.end_agent("0", value=FRAME)
    story.end(value=FRAME)
    return story


def bare(state):
    """Returns a state without the numbers of events, which a history may give anew."""
    return replace(state, seq=0, agents={id_: replace(each, seq=0) for id_, each in state.agents.items()})


@pytest.mark.parametrize("nearest", [3, 256])
def test_each_position_is_the_fold_of_the_events_before_it(tmp_path, monkeypatch, nearest):
    monkeypatch.setattr(tree_history, "_NEAREST", nearest)
    dice = random.Random(1)
    logs = written(tmp_path)
    assert len(logs) == 50
    for log in logs:
        events = load(log).events
        history = TreeHistory(events)
        assert history.at(0) == TreeState()
        folded = TreeState()
        for position, event in enumerate(events, 1):
            folded.apply(event)
            assert bare(history.at(position)) == bare(folded), (log.name, position)
        for position in dice.choices(range(len(events) + 1), k=12):
            assert bare(history.at(position)) == bare(TreeState.of(events[:position])), (log.name, position)


def test_an_agent_has_another_number_wherever_it_differs():
    for seed in range(12):
        history = TreeHistory(busy(seed).events)
        known = {}
        for position in range(len(history) + 1):
            for id_, agent in history.at(position).agents.items():
                told = repr(agent)
                assert known.setdefault((id_, agent.seq), told) == told, (seed, position, id_)


def test_positions_beyond_the_run_are_its_ends():
    history = TreeHistory(example().events)
    assert history.at(-5) == TreeState()
    assert history.at(10**9).status == "done"


def test_a_log_with_numbers_that_do_not_grow_is_numbered_anew():
    events = [event.model_copy(update={"seq": 5}) for event in example().events]
    history = TreeHistory(events)
    assert [event.seq for event in history.events] == list(range(5, 5 + len(events)))


def test_events_that_come_later_are_taken_in():
    events = busy(3).events
    history = TreeHistory(events[:20])
    history.at(20)
    history.extend(events[20:])
    assert history.at(len(events)) == TreeState.of(events)
    assert history.at(10) == TreeState.of(events[:10])


def test_a_hundred_thousand_events_have_few_checkpoints_that_share_what_did_not_change():
    story = Story()
    story.agent("0")
    for _ in range(2000):
        story.prompt("0", purpose="llm_query")
        story.reply("0")
    events = [*story.events]
    turns = len(events)
    while len(events) < 100_000:
        events += [each.model_copy(update={"call": each.call + len(events)}) for each in events[2:turns]]
    history = TreeHistory(events)
    end = history.at(len(events))
    assert end.calls == len([each for each in history.events if each.kind == "prompt_sent"])
    assert len(history._checkpoints) < 400
    middle = history.at(50_000).agents["0"].calls
    for position, state in history._checkpoints[1:]:
        if position < 50_000:
            kept = state.agents["0"].calls[:-1]  # the last one may have had no reply yet
            assert all(one is other for one, other in zip(kept, middle, strict=False))


def test_an_empty_log_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(LogError):
        load(tmp_path / "empty.jsonl")
