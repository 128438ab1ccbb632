"""Values of a run: pulled, handed on, refused; what goes in and what must stay out."""

import contextlib
import threading

import pytest
from run_parts import asking, until

from rlm_jupyter import RLM
from rlm_jupyter.errors import (
    AgentNotFoundError,
    ConfigError,
    ContextError,
    UnsafeValueError,
    VariableNotFoundError,
)
from rlm_jupyter.models import ScriptedModel


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:
        yield start


def test_a_variable_is_pulled_while_its_agent_is_busy(ask):
    run = ask({"root": ["x = [1, 2, 3]\nimport time\ntime.sleep(600)\nFINAL(x)"]}, wait=False)
    until(lambda: run.agents and run.tree.agents["0"].cells == 1)
    pulled = []

    def is_there():  # the cell has begun for the engine before it has for the kernel
        with contextlib.suppress(VariableNotFoundError):
            pulled.append(run.agents["0"].pull("x"))
        return pulled

    until(is_there)
    assert pulled == [[1, 2, 3]]
    assert run.status == "running"
    run.stop()
    run.wait(60)


def test_pull_of_what_is_not_there_names_what_is(ask):
    run = ask({"root": ["counts = 1\nFINAL(2)"]})
    with pytest.raises(VariableNotFoundError, match="`counts`") as caught:
        run.agents["0"].pull("cuonts")
    assert caught.value.run is run
    with pytest.raises(AgentNotFoundError, match="`0`"):
        run.agents["0.7"]


def test_a_value_that_only_pickle_can_carry_is_refused_by_the_notebook(ask):
    evil = "class Evil:\n    def __reduce__(self):\n        import os\n        return (os.system, ('echo pwned',))\nFINAL(Evil())"
    run = ask({"root": [evil]})
    assert run.status == "done"
    with pytest.raises(UnsafeValueError, match="trust=True"):
        _ = run.value
    with pytest.raises(UnsafeValueError, match="trust=True"):
        run.agents["0"].pull("Evil")


def test_objects_of_an_agents_own_class_travel_between_agents(ask):
    script = {
        "root": ["p = rlm_query('point', context=3)\nFINAL([type(p).__name__, p.x])"],
        "point": ["class Point:\n    def __init__(self, x):\n        self.x = x\nFINAL(Point(context))"],
    }
    assert ask(script).value == ["Point", 3]


def test_a_large_text_is_held_once_however_many_agents_read_it(ask):
    text = "0123456789abcdef" * (4 << 20)
    private = "int(open('/proc/self/smaps_rollup').read().split('Private_Dirty:')[1].split()[0]) >> 10"
    script = {
        "root": ["FINAL(rlm_query_batched(['size'] * 4, contexts=[context] * 4))"],
        "size": [f"n = len(context) + context.count('f0')\nFINAL([n, {private}])"],
    }
    run = ask(script, context=text)
    sizes, megabytes = zip(*run.value, strict=True)
    assert set(sizes) == {len(text) + text.count("f0")}
    assert max(megabytes) < 48, "a copy of 64 MiB is in an agent's own memory"


def test_a_dataclass_keeps_its_class_among_agents_and_is_plain_data_for_the_notebook(ask):
    script = {
        "root": ["p = rlm_query('point', context=3)\nFINAL([type(p).__name__, p.x, p])"],
        "point": [
            "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\nFINAL(Point(context))"
        ],
    }
    assert ask(script).value == ["Point", 3, {"x": 3}]


def test_environment_variables_reach_the_kernel_and_no_record(ask):
    run = ask(
        {"root": ["import os\nprint('value', os.environ['SERVICE_PIN'])\nFINAL('ok')"]},
        env={"SERVICE_PIN": "hunter2hunter2"},
    )
    assert run.value == "ok"
    assert "hunter2hunter2" not in run.log_path.read_text()
    assert all("hunter2hunter2" not in event.model_dump_json() for event in run.events)


@pytest.mark.parametrize(
    ("question", "context", "error", "says"),
    [
        ("  ", None, ConfigError, "empty"),
        (5, None, ConfigError, "a text, not a `int`"),
        ("q", threading.Lock(), ContextError, "lock"),
        ("q", {"rows": (i for i in range(3))}, ContextError, "generator"),
    ],
)
def test_bad_input_is_named_before_anything_starts(question, context, error, says, tmp_path):
    rlm = RLM(model=ScriptedModel([]), log_dir=tmp_path / "logs", cache=False)
    with pytest.raises(error, match=says):
        rlm.run(question, context=context)
