"""Runs with hidden columns, whose model is a script of a real server."""

import json

import pytest
from hidden_requests import block
from planted_values import HIDE

from rlm_jupyter import RLM


@pytest.fixture
def ask(openai_server, tmp_path):
    """Asks with a script of a real server: replies of turns in order, and a function for other prompts."""
    runs = []

    def start(
        turns,
        context=None,
        *,
        plain=lambda prompt: "ok",
        hide=tuple(HIDE),
        limits=None,
        prompt="default",
        look=False,
        question="What is there?",
        hide_most=20_000_000,
        **options,
    ):
        waiting = {
            name: list(replies)
            for name, replies in (turns if isinstance(turns, dict) else {"": turns}).items()
        }

        def answer(request):
            first = next((one for one in request["messages"] if one["role"] == "user"), {})
            text = first["content"] if isinstance(first["content"], str) else json.dumps(first["content"])
            if request["messages"][0]["role"] != "system" or not text.startswith("Question"):
                return plain(text)
            name = next((name for name in waiting if name and f"Question:\n{name}" in text), "")
            return block(waiting[name].pop(0))

        openai_server.script = answer
        rlm = RLM(
            "test-model",
            base_url=openai_server.url,
            api_key="sk-test-0123456789",
            log_dir=tmp_path / "logs",
            cache=False,
            hide=hide,
            hide_most=hide_most,
            limits=limits,
            require_look=look,
            prompt=prompt,
        )
        run = rlm.start(question, context, **options).wait(120)
        runs.append(run)
        return run

    yield start
    for run in runs:
        run.close()
