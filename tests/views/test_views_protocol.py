"""The widget's protocol: declared once, sent as declared."""

import importlib.util
from pathlib import Path

import pytest
from run_story import example

from rlm_jupyter.views import protocol
from rlm_jupyter.views.agent_page import detail
from rlm_jupyter.views.widget_messages import Patcher, rows, run_fields

ROOT = Path(__file__).parents[2]


def _load_generator():
    path = ROOT / "js" / "dev" / "make_protocol.py"
    spec = importlib.util.spec_from_file_location("make_protocol", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_typescript_is_what_the_declaration_says():
    generator = _load_generator()
    assert generator.TARGET.read_text("utf-8") == generator.protocol(), "run `make protocol`"


@pytest.mark.parametrize(
    ("kind", "defaults"),
    [(protocol.Run, protocol.RUN_DEFAULTS), (protocol.Agent, protocol.AGENT_DEFAULTS)],
)
def test_each_field_of_a_row_has_a_default(kind, defaults):
    assert list(defaults) == list(kind.__annotations__)


def test_what_is_sent_has_the_declared_fields_and_no_other():
    state = example().state
    assert run_fields(state).keys() == protocol.RUN_DEFAULTS.keys()
    for row in rows(state).values():
        assert row.keys() == protocol.AGENT_DEFAULTS.keys()
    for agent in state.agents:
        page = detail(state, agent)
        assert page.keys() == protocol.Detail.__annotations__.keys()
        for turn in page["turns"]:
            assert turn.keys() | {"branches"} == protocol.Turn.__annotations__.keys()
            for cell in turn["cells"]:
                assert cell.keys() == protocol.Cell.__annotations__.keys()
        for call in page["sub_calls"]:
            assert call.keys() == protocol.SubCall.__annotations__.keys()
    (snapshot,) = Patcher(state).snapshot()
    assert snapshot.keys() == protocol.SnapshotMessage.__annotations__.keys()


def test_how_much_of_a_turn_was_left_out_is_a_number_and_not_read_from_its_text():
    state = example().state
    turn = state.agents["0"].turns[0]
    turn.call.text = "a\n… 9,000 characters left out …\nb"
    assert detail(state, "0")["turns"][0]["shortened"] == 0
    turn.call.text = "x" * 20_000
    shown = detail(state, "0")["turns"][0]
    assert shown["shortened"] == 12_000
    assert "12,000 characters left out" in shown["reply"]
