"""The identity of a run: equal for equal runs, another where something that determines it is, and no way to a secret."""

import re
from importlib.metadata import version

import pandas as pd
import pytest

from rlm_jupyter import RLM, Limits
from rlm_jupyter.cli import main
from rlm_jupyter.events.tree_levels import reduced
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import compare, frame, load
from rlm_jupyter.records.past_run import PastRun
from rlm_jupyter.run_setup.run_identity import _libraries

PEOPLE = pd.DataFrame({"mail": ["ann@x.org", "bob@x.org"], "paid": [1, 2]})
PARTS = {"prompt", "question", "data", "models", "settings", "limits", "package", "libraries"}


@pytest.fixture
def ask(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_API_KEY", "sk-q8Zx71LmPv03Rt9KwQ")
    runs = []

    def start(question="How many?", context=PEOPLE, *, name="one", limits=None, options=None, **settings):
        model = ScriptedModel(["```repl\nprint(len(context))\nFINAL(len(context))\n```"], name=name)
        limits = Limits(cost=None, calls_per_agent=5) if limits is None else limits
        rlm = RLM(model=model, limits=limits, log_dir=tmp_path / "logs", **settings)
        runs.append(rlm.run(question, context, **(options or {})))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def differs(one, other):
    assert set(one.tree.identity_parts) == set(other.tree.identity_parts) == PARTS
    different = [name for name in PARTS if one.tree.identity_parts[name] != other.tree.identity_parts[name]]
    assert (one.identity != other.identity) == bool(different)
    return different


def test_equal_runs_have_the_same_identity_and_the_log_has_it(ask, capsys, tmp_path):
    one, other = ask(), ask(context=PEOPLE.copy())
    assert one.id != other.id
    assert one.identity == other.identity
    assert re.fullmatch("[0-9a-f]{64}", one.identity)
    assert load(one.log_path).tree.identity == one.identity
    assert PastRun(one.tree, "", one.log_path).identity == one.identity
    assert main(["log", str(one.log_path)]) == 0
    assert f"Identity: {one.identity} (prompt " in capsys.readouterr().out
    assert set(frame(tmp_path / "logs", "runs").identity) == {one.identity}
    assert "The same prompt, data, models" in str(compare(one, other))


def test_what_determines_a_run_changes_one_part(ask):
    first = ask()
    assert differs(first, ask("How many then?")) == ["question"]
    assert differs(first, ask(context=PEOPLE.assign(paid=3))) == ["data"]
    assert differs(first, ask(name="two")) == ["models"]
    assert differs(first, ask(limits=Limits(cost=None, calls_per_agent=6))) == ["limits"]
    assert differs(first, ask(output_chars=500)) == ["settings"]
    assert differs(first, ask(parameters={"top_p": 0.5})) == ["settings"]
    other = ask(instructions="Be brief.", options={"schema": int})
    assert sorted(differs(first, other)) == ["question", "settings"]
    assert "What determines them differs in: question, settings." in str(compare(first, other))


def test_where_things_are_kept_changes_nothing(ask):
    assert differs(ask(), ask(cache=False, keep_values=False, telemetry=False)) == []


def test_no_secret_is_part_of_it(ask):
    """Two runs whose only difference is a secret have the same identity, so that no guess can be tried on it."""
    settings = [
        {"extra_body": {"pin": pin}, "options": {"env": {"PIN_CODE": pin * 3}}} for pin in ("12", "99")
    ]
    assert differs(*[ask(**one) for one in settings]) == []
    assert differs(ask(api_key="sk-q1Zx71LmPv03Rt9KwA"), ask(api_key="sk-z8Kx71LmPv03Rt9KwB")) == []
    told = [ask("Is sk-q8Zx71LmPv03Rt9KwQ right?"), ask("Is «redacted» right?")]
    assert [run.tree.question for run in told] == ["Is «redacted» right?"] * 2
    assert differs(*told) == []


def test_values_of_hidden_columns_are_no_part_of_it(ask):
    one = ask("Did ann@x.org pay?", hide=["mail"])
    other = ask("Did eve@y.com pay?", PEOPLE.assign(mail=["eve@y.com", "bob@x.org"]), hide=["mail"])
    assert differs(one, other) == []


def test_the_versions_are_those_of_the_installed_packages():
    known = _libraries()
    assert {"python", "ipykernel", "ipython", "numpy", "pandas"} <= set(known)
    assert known["pandas"] == pd.__version__
    assert {name: version(name) for name in set(known) - {"python", "system"}} == {
        name: told for name, told in known.items() if name not in ("python", "system")
    }


def test_a_page_without_texts_has_no_hash_of_them(ask):
    run = ask()
    for level in ("redacted", "structure"):
        assert (reduced(run.tree, level).identity, reduced(run.tree, level).identity_parts) == ("", {})


def test_hidden_values_in_other_texts_of_the_user_cannot_be_tried_against_the_hash(ask):
    one = ask("Did they pay?", hide=["mail"], instructions="ann@x.org matters most")
    other = ask(
        "Did they pay?",
        PEOPLE.assign(mail=["eve@y.com", "bob@x.org"]),
        hide=["mail"],
        instructions="eve@y.com matters most",
    )
    assert differs(one, other) == []
