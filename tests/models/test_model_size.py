"""How large a model is: by its name, or by what a server on this machine says of the model that it serves."""

import asyncio

import pytest
from openai_server import OpenAIServer

from rlm_jupyter.engine.agent.prompt_choice import choose_by_name, choose_prompt
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.local.known_servers import forget_servers
from rlm_jupyter.models.model_size import billions_in, billions_of
from rlm_jupyter.models.openai.chat import OpenAIChat


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("qwen2.5-coder-1.5b", 1.5),
        ("ollama/qwen2.5-coder:7b", 7),
        ("meta-llama/Llama-3.1-8B-Instruct", 8),
        ("gemma-3n-e4b-it", 4),
        ("mixtral-8x7b-instruct", 56),
        ("qwen3-30b-a3b", 30),
        ("smollm2-360m", 0.36),
        ("deepseek-r1:671b", 671),
        ("7.6B", 7.6),
        ("gpt-5", None),
        ("gpt-4o-mini", None),
        ("claude-haiku-4.5", None),
        ("o3-mini-2025b2", None),
        ("model-v3base", None),
        ("", None),
        ("1b" * 10_000, None),
    ],
)
def test_a_name_tells_the_size_or_nothing(name, billions):
    assert billions_in(name) == (pytest.approx(billions) if billions is not None else None)


@pytest.fixture
def server():
    forget_servers()
    with OpenAIServer() as server:
        yield server
    forget_servers()


def chat(server, name):
    return OpenAIChat(name, base_url=server.url, api_key="sk-test", price=None)


def test_a_server_with_one_model_serves_it_under_any_name(server):
    server.models = ["qwen2.5-coder-1.5b"]
    assert asyncio.run(billions_of(chat(server, "qwen"))) == 1.5
    assert asyncio.run(choose_prompt("auto", chat(server, "qwen"))) == "small"


def test_with_several_models_the_asked_one_counts(server):
    server.models = ["tiny-1b", "large"]
    assert asyncio.run(billions_of(chat(server, "large"))) is None
    assert asyncio.run(billions_of(chat(server, "unlisted"))) is None


def test_what_is_set_wins_and_a_script_is_no_small_model(server):
    assert asyncio.run(choose_prompt("frugal", chat(server, "qwen-1b"))) == "frugal"
    assert asyncio.run(choose_prompt("auto", ScriptedModel(["x"], name="tiny-1b"))) == "default"
    assert choose_by_name("auto", chat(server, "llama-3.2-3b")) == "small"
    assert choose_by_name("auto", chat(server, "llama-70b")) == "default"
    assert choose_by_name("small", chat(server, "llama-70b")) == "small"
