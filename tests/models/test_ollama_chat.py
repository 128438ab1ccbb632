"""Ollama by its own protocol: a context that the prompt fits into, and all that other models have."""

import asyncio

import pytest
from local_servers import LocalServer, Ollama

from rlm_jupyter import RLM
from rlm_jupyter.errors import (
    ConfigError,
    ContextTooLongError,
    EmptyReplyError,
    MalformedReplyError,
    ModelError,
    ProviderUnreachableError,
)
from rlm_jupyter.models import CompletionRequest, OllamaChat, OpenAIChat, RetryPolicy, Usage, bounded_json
from rlm_jupyter.models.cache import request_key
from rlm_jupyter.models.ollama import context_size
from rlm_jupyter.models.ollama.ollama_wire import native_request
from rlm_jupyter.run_setup.resolve_model import choose_model

NAME = "qwen2.5-coder:7b"
FAST = RetryPolicy(first_wait=0.001, longest_backoff=0.002)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Other tests run beside; and a size that one test learnt is not for the next."""
    monkeypatch.setattr(bounded_json, "SECONDS", 60.0)
    monkeypatch.setattr(context_size, "_sizes", {})


def ask(text="hi", **changes):
    return CompletionRequest([{"role": "user", "content": text}], **changes)


def chat(server, **changes):
    return OllamaChat(NAME, base_url=server.url, retry=FAST, **changes)


def answered(server, *requests, **changes):
    """The completions of requests that follow each other, to one model."""

    async def talk():
        model = chat(server, **changes)
        try:
            return [await model.complete(request) for request in requests]
        finally:
            await model.aclose()

    return asyncio.run(talk())


def chats(server):
    return [body for (_, path), body in zip(server.asked, server.bodies, strict=True) if path == "/api/chat"]


def test_a_reply_comes_in_pieces_with_its_usage():
    ollama, pieces = Ollama({NAME: 32768}, replies=["Grüße, 世界"]), []
    with LocalServer(ollama.routes()) as server:
        (completion,) = answered(server, ask("x" * 400, on_delta=pieces.append))
    assert completion.text == "Grüße, 世界"
    assert "".join(pieces) == completion.text
    assert len(pieces) == 2
    assert (completion.usage, completion.finish_reason, completion.attempts) == (Usage(100, 2), "stop", 1)
    assert completion.model == NAME


def test_a_prompt_above_the_default_is_read_whole():
    text = "begin " + "word " * 8000
    ollama = Ollama({NAME: 32768})
    with LocalServer(ollama.routes()) as server:
        answered(server, ask(text))
        assert ollama.read == [text]
        assert ollama.loads == [32768]
        # What would happen by the OpenAI-compatible endpoint, and is why it is not used: nothing says a word.
        ollama.read.clear()
        body = {
            "model": NAME,
            "messages": [{"role": "user", "content": text}],
            "stream": False,
            "options": {},
        }
        import json
        import urllib.request

        data = json.dumps(body).encode()
        urllib.request.urlopen(f"{server.root}/api/chat", data, timeout=60).read()
    assert not ollama.read[0].startswith("begin")


def test_the_context_grows_with_the_chat_in_powers_of_two_and_the_model_is_seldom_loaded():
    ollama = Ollama({NAME: 131072})
    sizes = [4_000 * turn for turn in range(1, 21)]
    with LocalServer(ollama.routes()) as server:
        answered(server, *(ask("word " * (size // 5), max_tokens=500) for size in sizes))
    assert [len(text) for text in ollama.read] == sizes
    assert ollama.loads[0] == 8192
    assert ollama.loads == sorted(set(ollama.loads))
    assert len(ollama.loads) <= 3
    assert max(ollama.loads) <= 32768  # 80,000 characters are 20,000 tokens


def test_requests_of_all_sizes_share_one_context():
    ollama = Ollama({NAME: 131072})
    with LocalServer(ollama.routes()) as server:
        answered(server, ask("word " * 9000))
        answered(server, ask("short"), ask("short"))  # another object, such as the model of sub-agents
    assert len(ollama.loads) == 1


def test_a_model_that_is_loaded_larger_is_left_so():
    ollama = Ollama({NAME: 131072}, running={NAME: 40000})
    with LocalServer(ollama.routes()) as server:
        answered(server, ask("short"))
    assert ollama.loads == []


def test_the_owners_size_is_the_least():
    ollama = Ollama({NAME: 131072}, parameters='stop    "<|im_end|>"\nnum_ctx                        16384\n')
    with LocalServer(ollama.routes()) as server:
        answered(server, ask("short"))
    assert ollama.loads == [16384]


def test_a_small_model_gets_what_it_holds():
    ollama = Ollama({NAME: 2048})
    with LocalServer(ollama.routes()) as server:
        answered(server, ask("short"))
    assert ollama.loads == [2048]


def test_a_size_that_the_user_set_is_kept_and_is_the_window():
    ollama, given = Ollama({NAME: 131072}), {"extra_body": {"options": {"num_ctx": 12000}, "keep_alive": -1}}
    with LocalServer(ollama.routes()) as server:
        answered(server, ask("word " * 3000, parameters=given), ask("short", parameters=given))
        assert ollama.loads == [12000]
        assert chats(server)[0]["keep_alive"] == -1
        assert chat(server, parameters=given).window == 12000
        with pytest.raises(ContextTooLongError, match="12,000 tokens"):
            answered(server, ask("word " * 30_000), parameters=given)


def test_dense_text_is_read_whole_after_a_refusal():
    """A tokenizer that makes a token of each byte: the size that was thought enough is not."""
    text = "ab" * 6000
    ollama, waits = Ollama({NAME: 131072}, per_token=1.0), []
    with LocalServer(ollama.routes()) as server:
        request = ask(text, max_tokens=500, on_wait=lambda reason, seconds: waits.append((reason, seconds)))
        first, second = answered(server, request, ask(text, max_tokens=500))
    assert ollama.read == [text, text]
    assert ollama.loads == [8192, 16384]
    assert (first.attempts, second.attempts) == (2, 1)
    assert waits == [("context too long (400)", 0.0)]  # one more request: whoever counts must know


def test_the_servers_count_of_one_prompt_tells_the_size_of_the_next():
    ollama = Ollama({NAME: 131072}, per_token=1.0)
    with LocalServer(ollama.routes()) as server:
        texts = ["ab" * 2000, "ab" * 4500]
        completions = answered(server, *(ask(text, max_tokens=500) for text in texts))
    assert [one.attempts for one in completions] == [1, 1]
    assert (ollama.read, ollama.loads) == (texts, [8192, 16384])


def test_a_prompt_that_the_model_cannot_hold_is_not_sent():
    ollama = Ollama({NAME: 8192}, cuts=True)  # an old version would cut it
    with LocalServer(ollama.routes()) as server:
        with pytest.raises(ContextTooLongError, match="context length: 8,192 tokens") as raised:
            answered(server, ask("word " * 20_000))
        assert chats(server) == []
    from rlm_jupyter.models.openai.dialect import window_told

    assert window_told(raised.value.message) == 8192


def test_a_refusal_at_the_largest_size_is_final():
    ollama = Ollama({NAME: 8192}, per_token=1.0)
    with LocalServer(ollama.routes()) as server:
        with pytest.raises(ContextTooLongError) as raised:
            answered(server, ask("ab" * 6000))
        assert len(chats(server)) == 1
    from rlm_jupyter.models.openai.dialect import window_told

    assert window_told(raised.value.message) is None  # "by 3808 tokens" is no window


def test_without_memory_for_the_size_a_smaller_one_is_tried_and_is_the_window_from_then_on():
    ollama = Ollama({NAME: 131072}, parameters="num_ctx 65536", memory=20_000)
    with LocalServer(ollama.routes()) as server:

        async def talk():
            model = chat(server)
            text = (await model.complete(ask("word " * 3000, max_tokens=500))).text
            await model.aclose()
            return text, model.window

        assert asyncio.run(talk()) == ("hello", 16384)
        assert ollama.loads == [16384]
        with pytest.raises(ContextTooLongError):
            answered(server, ask("word " * 30_000))


def test_the_window_is_known_after_the_first_request():
    ollama = Ollama({NAME: 32768})
    with LocalServer(ollama.routes()) as server:

        async def talk():
            model = chat(server)
            before = model.window
            await model.complete(ask())
            await model.aclose()
            return before, model.window

        assert asyncio.run(talk()) == (None, 32768)
        assert [path for _, path in server.asked] == ["/api/show", "/api/ps", "/api/chat"]


def test_a_version_that_tells_nothing_works_too():
    ollama = Ollama({NAME: 32768}, cuts=True, counts=False, capabilities=None)
    routes = {"/api/chat": ollama.routes()["/api/chat"]}
    with LocalServer(routes) as server:
        (completion,) = answered(server, ask("word " * 8000))
    assert (completion.text, completion.usage) == ("hello", None)
    assert ollama.loads == [32768]
    assert len(ollama.read[0]) == 40_000


def test_parameters_are_put_where_ollama_has_them():
    fields = {
        "model": "m", "messages": [], "stream": False, "stream_options": {}, "max_tokens": 100, "temperature": 0,
        "top_k": 20, "stop": ["x"], "reasoning_effort": "high", "options": {"num_predict": 500, "seed": 1},
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
        "extra_headers": {"a": "b"},
    }  # fmt: skip
    assert native_request(fields) == {
        "model": "m", "messages": [], "stream": True, "truncate": False, "shift": False, "keep_alive": "30m",
        "think": "high", "format": {"type": "object"}, "extra_headers": {"a": "b"},
        "options": {"num_predict": 100, "seed": 1, "temperature": 0, "top_k": 20, "stop": ["x"]},
    }  # fmt: skip
    assert native_request({"reasoning_effort": "none"})["think"] is False
    assert native_request({"response_format": {"type": "json_object"}})["format"] == "json"


def test_a_reply_is_bounded():
    ollama = Ollama({NAME: 32768}, replies=["word " * 100])
    with LocalServer(ollama.routes()) as server:
        (completion,) = answered(server, ask(max_tokens=10))
    assert (completion.finish_reason, len(completion.text)) == ("length", 40)


def test_thinking_that_a_model_does_not_have_is_not_asked_for_again():
    ollama = Ollama({NAME: 32768})
    with LocalServer(ollama.routes()) as server:
        request = ask(parameters={"reasoning_effort": "low"})
        assert [one.attempts for one in answered(server, request, request)] == [2, 1]


def test_thoughts_are_not_the_reply():
    ollama = Ollama({NAME: 32768}, replies=["answer"], thinking="hmm", capabilities=["thinking"])
    with LocalServer(ollama.routes()) as server:
        assert answered(server, ask())[0].text == "answer"
        ollama.replies = [""]
        with pytest.raises(EmptyReplyError, match="only thought"):
            answered(server, ask())


def test_a_model_that_is_not_there_is_told_with_those_that_are_and_how_to_get_it():
    ollama = Ollama({"qwen2.5-coder:1.5b": 32768, "llama3:8b": 8192})
    with LocalServer(ollama.routes()) as server:
        with pytest.raises(ModelError) as raised:
            answered(server, ask())
        assert len(chats(server)) == 1
    message = raised.value.message
    assert f"has no model `{NAME}` (404)" in message
    assert "It has `qwen2.5-coder:1.5b`, `llama3:8b`." in message
    assert f"`ollama pull {NAME}`" in message


def test_another_server_in_its_place_is_told():
    with LocalServer({}) as server, pytest.raises(ModelError, match="Is it an Ollama server"):
        answered(server, ask())


def test_no_server_is_told_and_one_that_comes_later_is_asked():
    with LocalServer({}) as server:
        url = server.url
    port = int(url.rpartition(":")[2].removesuffix("/v1"))

    async def talk():
        model = OllamaChat(NAME, base_url=url, retry=FAST)
        with pytest.raises(ProviderUnreachableError, match="Is the server running"):
            await model.complete(ask())
        before = model.window
        with LocalServer(Ollama({NAME: 32768}).routes(), port=port):
            await model.complete(ask())
        await model.aclose()
        return before, model.window

    assert asyncio.run(talk()) == (None, 32768)


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([{"error": "llama runner process has terminated"}], ProviderUnreachableError),
        ([{"message": {"content": "half"}, "done": False}], ProviderUnreachableError),
        ([{"message": {"content": ""}, "done": True, "done_reason": "stop"}], EmptyReplyError),
        ([["not an object"]], MalformedReplyError),
        ([7], MalformedReplyError),
    ],
)
def test_what_is_no_reply_is_tried_again_and_then_told(lines, error):
    with LocalServer({"/api/chat": lambda _s, handler, _b: handler.lines(lines)}) as server:
        with pytest.raises(error):
            answered(server, ask())
        assert len(chats(server)) > 1


def test_odd_lines_are_read_without_an_exception():
    odd = [
        {"message": None}, {"message": {"content": 7, "thinking": [], "tool_calls": "x"}}, {"model": 7}, {},
        {"done": True, "done_reason": 5, "prompt_eval_count": "many", "eval_count": -1, "message": {"content": "ok"}},
    ]  # fmt: skip
    with LocalServer({"/api/chat": lambda _s, handler, _b: handler.lines(odd)}) as server:
        (completion,) = answered(server, ask())
    assert (completion.text, completion.usage, completion.finish_reason) == ("ok", None, "stop")


def test_silence_ends_and_a_cancelled_request_reaches_the_server():
    ollama = Ollama({NAME: 32768}, wait=60)
    with LocalServer(ollama.routes()) as server:

        async def stop():
            model = chat(server)
            task = asyncio.ensure_future(model.complete(ask()))
            while not ollama.read:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await model.aclose()

        asyncio.run(stop())
        assert ollama.gone.wait(60)
        with pytest.raises(ProviderUnreachableError, match="time-out"):
            answered(server, ask(), timeout=0.2)


def test_what_tells_it_from_others_has_no_size_and_no_secret():
    model = OllamaChat(NAME, base_url="http://user:hidden@127.0.0.1:11434/v1")
    assert model.identity == {
        "base_url": "http://127.0.0.1:11434/v1", "model": NAME, "parameters": {}, "protocol": "ollama",
    }  # fmt: skip
    assert request_key(model, ask())
    assert "hidden" not in repr(model) + repr(model.identity)
    assert model.price == (0.0, 0.0)
    with pytest.raises(ConfigError, match="base URL"):
        OllamaChat(NAME, base_url="nowhere")


def test_a_name_with_the_prefix_is_this_model():
    model = choose_model(f"ollama/{NAME}", env={"OLLAMA_HOST": "127.0.0.1:8123"})
    assert isinstance(model, OllamaChat)
    assert (model.name, model.base_url) == (NAME, "http://127.0.0.1:8123/v1")
    model = choose_model(NAME, base_url="http://127.0.0.1:11434/v1", env={})
    assert isinstance(model, OllamaChat)
    model = choose_model(f"ollama/{NAME}", base_url="http://127.0.0.1:4000/v1", env={})
    assert type(model) is OpenAIChat  # a gateway has names of its own
    assert model.name == f"ollama/{NAME}"


def test_a_whole_run(monkeypatch):
    ollama = Ollama(
        {NAME: 32768}, replies=["```repl\nprint(len(context))\n```", "```repl\nFINAL(len(context))\n```"]
    )
    with LocalServer(ollama.routes()) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.root)
        run = RLM(model=f"ollama/{NAME}", log_dir=None, cache=False).run(
            "How long is it?", context="abc" * 1000
        )
    assert (run.value, run.cost) == (3000, 0.0)
    assert len(set(ollama.loads)) == len(ollama.loads)
