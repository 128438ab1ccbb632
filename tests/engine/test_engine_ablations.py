"""Words taken away by settings, and how models are asked: what truly reaches the request and the kernel."""

import pytest
from openai_server import OpenAIServer
from prompt_examples import BLOCK, frame, labels
from scripts import by_question, cell

from rlm_jupyter import RLM, ConfigError, Limits
from rlm_jupyter.engine.agent.prompt import system_prompt
from rlm_jupyter.models.base import Price
from rlm_jupyter.models.openai.chat import OpenAIChat

TRY = (
    "said = []\nfor call in (lambda: llm_query('q'), lambda: rlm_query('q', [1]), lambda: llm_query([1], "
    "instruction='q')):\n    try:\n        said.append(call())\n    except Exception as e:\n"
    "        said.append(str(e))\nFINAL(said)"
)


def tried(depth=2, **settings):
    model = by_question({"root": [TRY], "q": ["FINAL('sub')"]}, plain="plain")
    rlm = RLM(model=model, log_dir=None, cache=False, limits=Limits(depth=depth), **settings)
    with rlm.run("root") as run:
        return run.value, run.messages()[0]["content"], len(model.requests)


def test_with_all_words_each_call_is_answered():
    assert tried()[0] == ["plain", "sub", "sub"]


def test_without_sub_calls_no_word_of_them_is_told_and_each_is_refused():
    said, prompt, requests = tried(sub_calls=False)
    assert [text.split("`")[1] for text in said] == ["llm_query", "rlm_query", "rlm_query"]
    assert all("sub_calls=False" in text for text in said)
    assert requests == 1
    for word in ("llm_query", "rlm_query", "sub-agent", "completion", "schema="):
        assert word not in prompt


@pytest.mark.parametrize("depth", [0, 2])
def test_without_sub_agents_plain_calls_stay(depth):
    said, prompt, requests = tried(depth, sub_agents=False)
    assert said[0] == "plain"
    assert all("sub_agents=False" in text for text in said[1:])
    assert requests == 2
    assert "llm_query_batched" in prompt
    for word in ("rlm_query", "sub-agent", "depth limit"):
        assert word not in prompt


@pytest.mark.parametrize("settings", [{"sub_calls": False}, {"sub_agents": False}])
def test_the_examples_of_a_shorter_prompt_run_too(settings):
    text = system_prompt("default", **settings)
    assert len(text) <= 4500
    blocks = BLOCK.findall(text)
    model = by_question({"root": blocks}, plain=labels)
    with RLM(model=model, log_dir=None, cache=False, **settings).run("root", context=frame()) as run:
        cells = [c for turn in run.tree.agents["0"].turns for c in turn.cells]
        assert [c.status for c in cells] == ["ok"] * len(blocks)
        assert len(blocks) == (3 if "sub_calls" in settings else 5)
        assert isinstance(run.value, list)


def test_without_require_look_an_answer_needs_no_look():
    model = by_question({"root": ["FINAL(0)"]})
    rlm = RLM(model=model, log_dir=None, cache=False, require_look=False)
    with rlm.run("root", context=list(range(1000))) as run:
        assert run.value == 0


def sent(**settings):
    """Returns the requests of the root, of a plain call and of a sub-agent, as the server got them."""
    asks = "FINAL([llm_query('plain'), rlm_query('sub', context=1)])"

    def reply(request):
        first = request["messages"][-1]["content"]
        if not first.startswith("Question:"):
            return "an answer"
        return cell(asks if first.startswith("Question:\nroot") else "FINAL(context)")

    with OpenAIServer(reply) as server:
        model = OpenAIChat("test-model", base_url=server.url, api_key="sk-test", price=Price(1, 1))
        with RLM(model=model, log_dir=None, cache=False, **settings).run("root") as run:
            assert run.value == ["an answer", 1]
        return server.requests


FIELDS = ("temperature", "reasoning_effort", "top_p", "top_k", "max_tokens")


@pytest.mark.parametrize(
    ("settings", "root", "sub"),
    [
        ({}, (None, None, None, None, 8192), (None, None, None, None, 8192)),
        (
            {"temperature": 0.2, "reasoning_effort": "high", "completion_tokens": 4000},
            (0.2, "high", None, None, 4000),
            (0.2, "high", None, None, 4000),
        ),
        (
            {
                "temperature": 0.2,
                "sub_temperature": 0.9,
                "reasoning_effort": "high",
                "sub_reasoning_effort": "low",
                "extra_body": {"top_k": 5},
                "sub_extra_body": {"top_k": 7},
                "sub_completion_tokens": 300,
            },
            (0.2, "high", None, 5, 8192),
            (0.9, "low", None, 7, 300),
        ),
        (
            {"parameters": {"top_p": 0.5, "max_tokens": 700}, "sub_parameters": {"top_p": 0.1}},
            (None, None, 0.5, None, 700),
            (None, None, 0.1, None, 8192),
        ),
        (
            {"parameters": {"top_p": 0.5, "temperature": 1}, "temperature": 0, "sub_parameters": {}},
            (0, None, 0.5, None, 8192),
            (None, None, None, None, 8192),
        ),
    ],
)
def test_parameters_of_root_and_sub_reach_the_request(settings, root, sub):
    first, *others = sent(**settings)
    assert tuple(first.get(name) for name in FIELDS) == root
    assert len(others) == 2
    for other in others:
        assert tuple(other.get(name) for name in FIELDS) == sub


@pytest.mark.parametrize("name", ["parameters", "sub_parameters", "extra_body"])
def test_a_parameter_that_is_not_the_users_is_refused_at_the_start(name):
    with pytest.raises(ConfigError, match="`messages`"):
        RLM(model="demo", log_dir=None, **{name: {"messages": []}})
    with pytest.raises(ConfigError, match="JSON"):
        RLM(model="demo", log_dir=None, **{name: {"x": object()}})
