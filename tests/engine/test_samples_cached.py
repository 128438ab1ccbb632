"""Replies of samples on disk: Run All costs nothing, and equal questions of a batch are no copies of one reply."""

import pytest
from openai_server import OpenAIServer
from scripts import cell

from rlm_jupyter import RLM, Limits, rlm
from rlm_jupyter.models.openai.chat import OpenAIChat


@pytest.fixture
def rlm_of(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    numbers = iter(range(1000))

    def script(request):
        said = [message["content"] for message in request["messages"] if message["role"] == "assistant"]
        return (
            cell("FINAL(drawn + len(context))")
            if said
            else cell(f"drawn = {100 * next(numbers)}\nprint(context)")
        )

    with OpenAIServer(script) as server:
        model = OpenAIChat("test-model", base_url=server.url, api_key="sk-test-0123456789")
        yield RLM(model=model, log_dir=None, price=(1.0, 1.0), limits=Limits(cost=1.0)), server
    rlm.stop_all()


def test_samples_are_free_the_second_time_and_the_first_is_the_plain_question(rlm_of):
    asking_rlm, server = rlm_of
    first = asking_rlm.run("How many?", [1, 2], samples=3)
    assert server.calls == 6
    assert sorted(first.agents[f"0.{n}"].value for n in (1, 2, 3)) == [2, 102, 202]
    again = asking_rlm.run("How many?", [1, 2], samples=3)
    assert server.calls == 6
    assert again.cost == 0
    assert again.value == first.value
    assert [again.agents[f"0.{n}"].value for n in (1, 2, 3)] == [
        first.agents[f"0.{n}"].value for n in (1, 2, 3)
    ]
    single = asking_rlm.run("How many?", [1, 2])
    assert server.calls == 6
    assert single.value == first.agents["0.1"].value
    more = asking_rlm.run("How many?", [1, 2], samples=4)
    assert server.calls == 8  # one sample more
    assert more.agents["0.4"].value == 302


def test_a_verification_is_free_the_second_time_too(rlm_of):
    asking_rlm, server = rlm_of
    draw = server.script

    def script(request):
        said = [message["content"] for message in request["messages"]]
        if "and their answers differ" not in said[1]:
            return draw(request)
        turns = ["print(context, candidate_1)", "FINAL({'take': 3, 'why': 'it was checked', 'check': 2})"]
        return cell(turns[len(said) > 2])

    server.script = script
    first = asking_rlm.run("How many?", [1, 2], verify=True)
    calls = server.calls
    assert first.agreement.verified
    again = asking_rlm.run("How many?", [1, 2], verify=True)
    assert (server.calls, again.cost, again.value) == (calls, 0, first.value)
    assert again.agreement.why == "it was checked"


@pytest.mark.parametrize("contexts", ["same object", "equal objects"])
def test_equal_questions_of_a_batch_differ_and_are_free_the_second_time(rlm_of, contexts):
    asking_rlm, server = rlm_of
    data = [1, 2]
    given = [data] * 5 if contexts == "same object" else [[1, 2] for _ in range(5)]
    values = [run.value for run in asking_rlm.run_batch(["How many?"] * 5, given)]
    assert sorted(values) == [2, 102, 202, 302, 402]
    assert server.calls == 10
    assert [run.value for run in asking_rlm.run_batch(["How many?"] * 5, given)] == values
    assert server.calls == 10


def test_other_questions_of_a_batch_are_asked_as_if_alone(rlm_of):
    asking_rlm, server = rlm_of
    alone = asking_rlm.run("How many?", [1, 2]).value
    runs = asking_rlm.run_batch(["What?", "How many?", "How many?"], [[1, 2], [1, 2], [1, 2, 3]])
    assert runs[1].value == alone
    assert server.calls == 6


async def test_a_batch_that_is_awaited_is_numbered_in_the_same_order(rlm_of):
    asking_rlm, server = rlm_of
    values = [run.value for run in await asking_rlm.arun_batch(["How many?"] * 4, context=[1, 2])]
    assert len(set(values)) == 4
    assert [run.value for run in asking_rlm.run_batch(["How many?"] * 4, context=[1, 2])] == values
    assert server.calls == 8


@pytest.mark.parametrize("asks", ["rlm_query('part', context=context)", "int(llm_query('a number'))"])
def test_sub_agents_and_plain_completions_belong_to_their_sample(rlm_of, asks):
    asking_rlm, server = rlm_of
    draw, numbers = server.script, iter(range(1000))

    def script(request):
        messages = request["messages"]
        if len(messages) == 1:
            return str(next(numbers))
        if "Question:\npart\n" in messages[1]["content"]:
            return draw(request)
        return cell([f"part = {asks}\nprint(part, len(context))", "FINAL(part)"][len(messages) > 2])

    server.script = script
    values = [run.value for run in asking_rlm.run_batch(["How many?"] * 3, context=[1, 2])]
    assert len(set(values)) == 3
    calls = server.calls
    assert [run.value for run in asking_rlm.run_batch(["How many?"] * 3, context=[1, 2])] == values
    assert server.calls == calls
