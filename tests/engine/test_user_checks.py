"""Checks of the user's own: they run in the agent's kernel on what is given to FINAL, and send it back."""

import pytest
from run_parts import asking
from scripts import cell

from rlm_jupyter import RLM, ConfigError, Limits, host_tool
from rlm_jupyter.guest.user_checks import AnswerChecks
from rlm_jupyter.models import ScriptedModel

LEAST = 5


def large_enough(total):
    if total < LEAST:
        return f"{total} is below {LEAST}"
    return None


def has_no_remainder(total):
    assert total % 2 == 0, f"{total} is odd"


def where_it_runs(total):
    import sys

    return "in an agent's kernel" if "_rlm" in sys.modules else None


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:

        def ask(*cells, **options):
            model = ScriptedModel([cell(code) for code in cells])
            return start({}, "sum?", [1, 2, 3], model=model, **options)

        yield ask


def sent_back(run, agent="0"):
    return [text for text in run.tree.agents[agent].notices if text.startswith("FINAL was sent back")]


def test_an_answer_goes_back_with_what_the_checks_say_until_they_are_content(ask):
    run = ask(
        "FINAL(len(context))",
        "FINAL(sum(context) + 1)",
        "FINAL(sum(context))",
        checks=[large_enough, has_no_remainder],
    )
    assert run.error is None
    assert run.value == 6
    first, second = sent_back(run)
    assert "`large_enough` says: 3 is below 5" in first
    assert "`has_no_remainder` does not hold: 3 is odd" in first  # all of them are heard
    assert "7 is odd" in second
    assert "3 is below 5" in run.messages()[3]["content"]  # the agent is told


def test_checks_run_in_the_agents_kernel(ask):
    run = ask(
        "FINAL(sum(context))", "FINAL(len(context))", checks=[where_it_runs], limits=Limits(calls_per_agent=2)
    )
    assert "`where_it_runs` says: in an agent's kernel" in sent_back(run)[0]


def test_a_value_that_no_check_lets_through_is_what_there_is_of_an_answer(ask):
    run = ask(*["FINAL(len(context))"] * 3, checks=[large_enough], limits=Limits(calls_per_agent=2))
    assert run.error is not None
    assert run.value == 3


def test_the_schema_is_checked_too(ask):
    run = ask("FINAL('six')", "FINAL(2)", "FINAL(sum(context))", schema=int, checks=[large_enough])
    assert run.value == 6
    assert "does not match" in sent_back(run)[0]
    assert "below" in sent_back(run)[1]


def test_a_check_that_fails_itself_says_so(ask):
    run = ask("FINAL('six')", "FINAL(sum(context))", checks=[large_enough])
    assert run.value == 6
    assert "`large_enough` failed on this value: TypeError" in sent_back(run)[0]


def test_a_follow_up_has_checks_of_its_own(ask):
    cells = ["FINAL(sum(context))", "FINAL(1)", "FINAL(3)", "FINAL(2)"]
    run = ask(*cells, checks=[large_enough])
    with run.ask("any?") as second:
        assert second.value == 1  # those of the first question are gone
        with second.ask("even?", checks=[has_no_remainder]) as third:
            assert third.value == 2
            assert "3 is odd" in sent_back(third)[0]


def test_a_run_that_is_branched_off_in_the_same_process_is_checked_too(ask, tmp_path):
    run = ask("FINAL(sum(context))", checks=[large_enough])
    rlm = RLM(model=ScriptedModel([cell("FINAL(8)")]), log_dir=tmp_path / "logs", cache=False)
    with rlm.branch(run, 1, code="FINAL(len(context))") as other:
        assert other.wait(60).value == 8
        assert "3 is below 5" in sent_back(other)[0]


def test_sub_agents_are_not_checked(ask, tmp_path):
    def reply(messages, request):
        if request.agent == "0.1":
            return cell("FINAL(1)")
        turn = sum(message["role"] == "assistant" for message in messages)
        return cell(["part = rlm_query('one', context=[1])\nprint(part)", "FINAL(part + sum(context))"][turn])

    with asking(tmp_path / "other") as start:
        run = start({}, "sum?", [1, 2, 3], model=ScriptedModel(reply), checks=[large_enough])
        assert run.value == 7


def test_each_sample_is_checked_and_so_is_the_answer_of_the_verification_s_own(tmp_path):
    look = "print(context)"
    script = {
        "0.1": ["FINAL(len(context))", "FINAL(sum(context))"],
        "0.2": ["FINAL(10 * sum(context))"],
        "0.3": ["FINAL(20 * sum(context))"],
        "0.4": [look + "\nprint(candidate_1)"]
        + [f"FINAL({{'take': 0, 'why': 'w', 'check': 1, 'value': {n} + 0 * sum(context)}})" for n in (1, 8)],
    }

    def reply(messages, request):
        turns = script[request.agent]
        return cell(turns[min(sum(m["role"] == "assistant" for m in messages), len(turns) - 1)])

    with asking(tmp_path) as start:
        run = start({}, "sum?", [1, 2, 3], model=ScriptedModel(reply), checks=[large_enough], verify=True)
        assert run.value == 8
        assert sent_back(run, "0.1")
        assert "1 is below 5" in sent_back(run, "0.4")[0]


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        (None, None),
        (True, None),
        ("", None),
        (False, "`check` does not hold."),
        ("too small", "`check` says: too small"),
        (3, "it returned a `int`"),
    ],
)
def test_what_a_check_returns(said, refusal):
    checks = AnswerChecks()
    checks.add("check", lambda _: said)
    found = checks.refusals(1, {})
    assert found == [] if refusal is None else refusal in found[0]


def test_numpy_s_truth_is_a_truth():
    numpy = pytest.importorskip("numpy")
    checks = AnswerChecks()
    checks.add("check", lambda value: numpy.array(value) > LEAST)
    assert checks.refusals(6, {}) == []
    assert checks.refusals(4, {}) == ["The check `check` does not hold."]


async def awaited(_total):
    return None


@host_tool
def in_the_notebook(_total):
    return None


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        (large_enough, "takes a list"),
        ("large_enough", "takes a list"),
        ([3], "not a function"),
        ([int], "not a function"),
        ([awaited], "coroutine"),
        ([in_the_notebook], "host tool"),
        ([lambda: None], "one argument"),
        ([large_enough] * 21, "20 functions"),
    ],
)
def test_what_is_no_check_is_refused_before_anything_is_started(ask, checks, said):
    with pytest.raises(ConfigError, match=said):
        ask(checks=checks)
