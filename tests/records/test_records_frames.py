"""The tables of a run as DataFrames: from a run, a past run, a log, a directory of logs; damaged and made-up ones too."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from run_story import FRAME, Story, calls_of_all_kinds, example
from scripts import by_question

from rlm_jupyter import RLM
from rlm_jupyter.errors import ConfigError, LogError, RunNotFoundError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.run_tables import DTYPES, TABLES
from rlm_jupyter.events.table_frames import frame_of
from rlm_jupyter.records import frame
from rlm_jupyter.records.log import LogWriter
from rlm_jupyter.records.past_run import PastRun

ROOT = Path(__file__).parents[2]


def write(path, events):
    with LogWriter(path) as writer:
        for event in events:
            writer.write(event)
    return path


def changed(path, **fields):
    """Change fields of the events in a log, as somebody might who makes one: `kind__field=value`."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        for name, value in fields.items():
            kind, _, field = name.partition("__")
            if line["kind"] == kind:
                line[field] = value
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_real_run_has_its_agents_turns_calls_and_variables(tmp_path):
    script = {
        "root": [
            "said = llm_query('plainly?')\npart = rlm_query('part', context=[1, 2, 3])\nprint('seen')",
            "FINAL(part)",
        ],
        "part": ["1 / 0", "total = sum(context)\nFINAL(total)"],
    }
    rlm = RLM(model=by_question(script), log_dir=tmp_path, cache=False)
    with rlm.run("root") as run:
        frames = {name: run.frame(name) for name in TABLES}
    agents, turns, calls = (frames[name].set_index("agent") for name in ("agents", "turns", "calls"))
    assert agents.question.to_dict() == {"0": "root", "0.1": "part"}
    assert agents.sub_agents.tolist() == [1, 0]
    assert agents.parent.isna().tolist() == [True, False]
    assert (agents.finished > agents.started).all()
    assert agents.seconds.between(0, 600).all()
    assert turns.loc["0.1", "cell_status"].tolist() == ["error", "ok"]
    assert "ZeroDivisionError" in turns.loc["0.1", "error"].iloc[0]
    assert turns.loc["0", "code"].iloc[0] == script["root"][0]
    assert "seen" in turns.loc["0", "output"].iloc[0]
    assert "root" in turns.loc["0", "prompt"].iloc[0]
    assert calls.loc["0", "purpose"].value_counts().to_dict() == {"turn": 2, "llm_query": 1}
    assert calls.call.tolist() == sorted(calls.call)
    kept = frames["variables"].set_index(["agent", "name"])
    assert kept.loc[("0.1", "total"), "type"] == "int"
    assert frames["runs"].agents.tolist() == [2]
    for name, told in frames.items():
        pd.testing.assert_frame_equal(frame(run.log_path, name), told)
        pd.testing.assert_frame_equal(PastRun(run.tree, "", run.log_path).frame(name), told)


def test_money_durations_and_tokens_are_those_of_the_tree():
    tree = calls_of_all_kinds().state
    calls = frame_of([tree], "calls")
    assert calls.purpose.tolist() == ["turn", "llm_query", "repair", "fallback"]
    assert calls.cost.tolist() == [0.001, 0.0, 0.001, 0.0]
    assert calls.requests.tolist() == [1, 0, 3, 2]
    assert calls.cached.tolist() == [False, True, False, False]
    assert calls.error.tolist()[-1] == "no credit"
    assert int(calls.input_tokens.sum()) == tree.input_tokens
    turns = frame_of([tree], "turns")
    assert turns.model_seconds.tolist() == [1.0]
    assert turns.code_seconds.tolist() == [0.5]
    assert turns.started.tolist() == [pd.Timestamp(1003, unit="s", tz="UTC")]


def test_what_a_branch_costs_is_known_only_if_all_of_it_is():
    agents = frame_of([example().state], "agents").set_index("agent")
    assert agents.cost.isna().to_dict() == {"0": False, "0.1": False, "0.2": True}
    assert agents.cost_total.isna().to_dict() == {"0": True, "0.1": False, "0.2": True}
    story = Story()
    for id_, cost in (("0", 0.5), ("0.1", 0.25), ("0.1.1", 0.125)):
        story.agent(id_)
        story.turn(id_, cost=cost)
    assert frame_of([story.state], "agents").cost_total.tolist() == [0.875, 0.375, 0.125]


@pytest.mark.parametrize("table", TABLES)
def test_dtypes_are_the_same_with_and_without_rows(table):
    columns = TABLES[table].columns
    running = Story("\ud83d half a character")
    running.agent("0")
    running.prompt("0")
    running.variables("0", x={}, y=FRAME)
    for trees in ([], [Story().state], [running.state], [example().state, calls_of_all_kinds().state]):
        made = frame_of(trees, table)
        assert {name: str(dtype) for name, dtype in made.dtypes.items()} == {
            column.name: DTYPES[column.kind] for column in columns
        }
    assert len(made.columns) == len({column.name for column in columns})


def test_a_run_that_goes_on_has_no_end_yet():
    story = Story()
    story.agent("0")
    story.prompt("0")
    story.cell("0", finish=False)
    agents, turns = frame_of([story.state], "agents"), frame_of([story.state], "turns")
    assert agents[["finished", "seconds"]].isna().all(axis=None)
    assert turns.status.tolist() == ["running"]
    assert turns.model_seconds.isna().all()


def test_a_directory_gives_all_runs_and_leaves_out_what_is_no_log(tmp_path):
    write(tmp_path / "a.jsonl", example().events)
    write(tmp_path / "b.jsonl", Story("Two?", run="b").events)
    torn = write(tmp_path / "c.jsonl", Story("Three?", run="c").events + example().events[1:4])
    torn.write_bytes(torn.read_bytes()[:-40])
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "folder.jsonl").mkdir()
    assert frame(tmp_path, "runs").run.tolist() == ["7f3a", "b", "c"]
    assert frame(tmp_path).groupby("run").size().to_dict() == {"7f3a": 3, "c": 1}
    (tmp_path / "foreign.jsonl").write_text('{"a": 1}\n')
    with pytest.warns(UserWarning, match=r"left out: `foreign\.jsonl`"):
        found = frame(tmp_path)
    assert "not a log of a run" in found.attrs["left_out"]["foreign.jsonl"]
    assert len(found) == 4


def test_an_empty_directory_gives_an_empty_frame_and_no_path_an_error(tmp_path):
    assert frame(tmp_path).shape == (0, len(TABLES["agents"].columns))
    with pytest.raises(RunNotFoundError, match="no log at"):
        frame(tmp_path / "none")
    (tmp_path / "foreign.jsonl").write_text("x\n")
    with pytest.raises(LogError, match="not a log"):
        frame(tmp_path / "foreign.jsonl")
    with pytest.raises(ConfigError, match=r"no table `agent` of a run\. There are `runs`, `agents`"):
        frame(tmp_path, "agent")


HUGE = 10**40


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "fields",
    [
        {"agent_started__time": -5.0, "run_started__time": 9e14, "reply_finished__seconds": -1e14},
        {
            "reply_finished__gen_ai.usage.input_tokens": HUGE,
            "prompt_sent__turn": HUGE,
            "code_finished__cut": HUGE,
        },
        {
            "agent_started__depth": HUGE,
            "agent_started__context": {"bytes": HUGE, "summary": [1], "shape": [HUGE]},
        },
        {"variables_changed__turn": HUGE},
        {
            "variables_changed__variables": [
                {"name": "x", "bytes": "many", "shape": 7, "columns": [7, {}, None]}
            ]
        },
        {
            "variables_changed__variables": [
                {"name": "x", "turn": {}, "length": 1e300, "preview": 5, "type": []}
            ]
        },
        {"prompt_sent__gen_ai.input.messages": [{"role": "user"}, {"role": "user", "content": "\u2028"}]},
        {"run_finished__value": {"summary": {"a": 1}, "bytes": True}, "reply_finished__cost": 9e14},
        {"agent_started__parent": "0.1"},
        {"agent_started__agent": "0"},
    ],
)
def test_logs_that_somebody_made_are_read_as_far_as_they_make_sense(tmp_path, fields, table):
    path = write(tmp_path / "run.jsonl", example().events)
    changed(path, **fields)
    made = frame(path, table)
    assert {str(dtype) for dtype in made.dtypes} <= set(DTYPES.values())
    made.to_csv(tmp_path / "table.csv")
    made.describe()


def test_impossible_numbers_are_missing():
    story = Story("Why?", start=9e14)
    story.agent("0", context={"bytes": HUGE, "summary": 7})
    story.prompt("0")
    story.reply("0", tokens=(HUGE, 3))
    row = frame_of([story.state], "agents").iloc[0]
    assert row[["started", "input_tokens", "context_bytes", "context"]].isna().all()
    assert row.output_tokens == 3


def test_pandas_is_imported_only_for_a_frame_and_named_if_it_is_missing(tmp_path, monkeypatch):
    code = "import sys, rlm_jupyter.records, rlm_jupyter.engine.run.run; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    write(
        tmp_path / "run.jsonl", [ev.parse_event(e.model_dump_json(by_alias=True)) for e in example().events]
    )
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="pip install pandas"):
        frame(tmp_path)


def test_the_page_of_columns_is_what_the_code_says():
    spec = importlib.util.spec_from_file_location("make_frames", ROOT / "docs" / "make_frames.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text("utf-8") == module.page(), "run `make docs`"
