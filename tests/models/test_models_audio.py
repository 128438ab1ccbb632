"""Audio in requests: where each protocol has it, what it may cost, who is sent none, and what a refusal means."""

import asyncio
import base64

import numpy as np
import pytest
from local_servers import LocalServer, Ollama, llama_cpp
from made_sounds import sound
from openai_server import OpenAIServer, error

from rlm_jupyter.engine.agent.media_support import check_hears, hears, taken_media
from rlm_jupyter.engine.completions.cache_key import cache_request
from rlm_jupyter.engine.completions.data_tokens import data_tokens
from rlm_jupyter.engine.completions.redact_chats import ChatRedactor
from rlm_jupyter.engine.completions.sampling import Sampling
from rlm_jupyter.errors import AudioRefusedError, ModelError
from rlm_jupyter.guest.image_files import encode_images
from rlm_jupyter.models import (
    AnthropicChat,
    Audio,
    CommandModel,
    CompletionRequest,
    OllamaChat,
    OpenAIChat,
    Price,
    ResponsesChat,
    RetryPolicy,
    ScriptedModel,
)
from rlm_jupyter.models.base import text_of
from rlm_jupyter.models.cache import request_key
from rlm_jupyter.models.images import Image
from rlm_jupyter.models.local import known_servers
from rlm_jupyter.models.ollama import context_size
from rlm_jupyter.models.openai.chat_messages import sendable, with_parts
from rlm_jupyter.models.prices import audio_price, price_with_audio
from rlm_jupyter.models.token_estimate import estimate_prompt_tokens
from rlm_jupyter.models.token_ratio import TokenRatio

KEY = "sk-test-0123456789"
FAST = RetryPolicy(first_wait=0.001, longest_backoff=0.002)


def image(value):
    (png,) = encode_images([np.full((4, 6), value, np.uint8)])
    return Image(png, 6, 4)


def openai(server):
    return OpenAIChat("test-model", base_url=server.url, api_key=KEY, retry=FAST)


RED = image(1)
HIGH, LOW = sound(1), sound(2)
MP3 = Audio(b"\xff\xfb\x90\x00" + bytes(413), "mp3", 0.026)


def heard(text, *audio, **more):
    return {"role": "user", "content": text, "audio": audio, **more}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(context_size, "_sizes", {})
    known_servers.forget_servers()


def ask(model, *messages):
    async def talk():
        try:
            return await model.complete(CompletionRequest(list(messages)))
        finally:
            if hasattr(model, "aclose"):
                await model.aclose()

    return asyncio.run(talk())


def test_chat_completions_have_the_text_then_images_and_then_each_file_with_its_format():
    with OpenAIServer(["hello"]) as server:
        ask(openai(server), heard("What is said?", HIGH, MP3, images=(RED,)))
    content = server.requests[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "input_audio", "input_audio"]
    assert [part["input_audio"]["format"] for part in content[2:]] == ["wav", "mp3"]
    assert [base64.b64decode(part["input_audio"]["data"]) for part in content[2:]] == [HIGH.data, MP3.data]


def test_ollama_has_audio_among_the_images_and_a_context_that_holds_it():
    ollama = Ollama({"gemma": 131072}, capabilities=["completion", "audio"])
    with LocalServer(ollama.routes()) as server:
        # Its stand-in refuses what is in `images` of a model that does not see.
        ollama.capabilities.append("vision")
        ask(OllamaChat("gemma", base_url=server.url, retry=FAST), heard("What is said?", sound(3, 200)))
        (body,) = [b for (_, path), b in zip(server.asked, server.bodies, strict=True) if path == "/api/chat"]
    (message,) = body["messages"]
    assert message == {"role": "user", "content": "What is said?", "images": [sound(3, 200).base64]}
    assert body["options"]["num_ctx"] >= sound(3, 200).most_tokens()


@pytest.mark.parametrize(
    ("kind", "why"),
    [(AnthropicChat, "Messages API, which has no audio"), (ResponsesChat, "Responses API, whose messages have no audio")],
)  # fmt: skip
def test_protocols_without_audio_send_nothing_and_say_so(kind, why):
    with OpenAIServer(["hello"]) as server:
        model = kind("test-model", base_url=server.url, api_key=KEY, retry=FAST)
        with pytest.raises(AudioRefusedError, match=rf"`test-model` is reached by .*{why}.*choose a model"):
            ask(model, heard("What is said?", HIGH))
        assert server.requests == []


def test_a_program_gets_no_audio():
    with pytest.raises(ModelError, match="text alone"):
        ask(CommandModel(["cat"]), heard("What is said?", HIGH))


REFUSALS = [
    (500, "audio input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
    (404, "No endpoints found that support input audio"),
    (400, "content blocks are expected to be either text or image_url type"),
    (400, "At most 0 audio(s) may be provided in one prompt."),
    (400, "test-model is not a multimodal model"),
    (422, "messages[0]: unknown variant `input_audio`, expected `text`"),
    (400, "This model does not support audio."),
    (400, "'messages.0.content' must be a string"),
]


@pytest.mark.parametrize(("status", "said"), REFUSALS)
def test_a_refusal_of_audio_is_told_at_once_for_what_it_is(status, said):
    with OpenAIServer([error(status, said)]) as server:
        with pytest.raises(AudioRefusedError, match=r"`test-model` at .* does not take audio") as caught:
            ask(openai(server), heard("What is said?", HIGH))
        assert server.calls == 1
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "Incorrect API key provided"),
        (400, "The audio is too long: at most 30 seconds"),
        (404, "The model `gpt-audio` does not exist"),
        (400, "image input is not supported"),
    ],
)
def test_other_refusals_of_a_request_with_audio_stay_what_they_are(status, said):
    with OpenAIServer([error(status, said)]) as server, pytest.raises(ModelError) as caught:
        ask(openai(server), heard("What is said?", HIGH))
    assert not isinstance(caught.value, AudioRefusedError)


def test_a_refusal_of_one_of_two_media_names_that_one():
    with (
        OpenAIServer([error(400, "audio input is not supported")]) as server,
        pytest.raises(AudioRefusedError),
    ):
        ask(openai(server), heard("Which?", HIGH, images=(RED,)))


def test_messages_of_one_role_are_joined_with_all_their_audio():
    chat = [heard("first", HIGH, images=(RED,)), {"role": "user", "content": "then"}, heard("", LOW)]
    (joined,) = sendable([*chat, {"role": "system", "content": "s"}], system_role=False)
    assert joined["audio"] == (HIGH, LOW)
    assert joined["images"] == (RED,)
    assert [part["type"] for part in with_parts([joined])[0]["content"]] == ["text", "image_url"] + [
        "input_audio"
    ] * 2


@pytest.mark.parametrize("seconds", [0.0, 0.1, 29.9, 30.0, 31.0, 600.0])
def test_the_bound_of_audio_is_above_what_models_count(seconds):
    audio, windows = sound(0, seconds), -(-seconds // 30)
    assert audio.tokens <= audio.most_tokens()
    assert audio.most_tokens() >= max(32 * seconds, 25 * 30 * windows, 1)
    plain = [{"role": "user", "content": "x"}]
    assert estimate_prompt_tokens([heard("x", audio, images=(RED,))]) == (
        estimate_prompt_tokens(plain) + audio.most_tokens() + RED.most_tokens()
    )


def test_audio_counts_as_data_and_no_ratio_is_learnt_from_it():
    text = [{"role": "user", "content": "x" * 400}]
    with_audio = [heard("x" * 400, HIGH)]
    assert data_tokens(with_audio, "llm_query") == data_tokens(text, "llm_query") + HIGH.tokens
    ratio = TokenRatio()
    assert ratio.prompt_tokens(with_audio) == ratio.prompt_tokens(text) + HIGH.tokens
    ratio.learn([heard("x" * 4000, HIGH)], 1000)
    assert not ratio.learnt


def test_the_key_of_the_cache_is_that_of_the_audio_and_of_its_order():
    model = OpenAIChat("m", base_url="https://host/v1", api_key=KEY)

    def key(*audio, **more):
        messages = [heard("Which?", *audio, **more)] if audio else [{"role": "user", "content": "Which?"}]
        return request_key(model, cache_request(messages, Sampling(100)))

    again = Audio(bytes(bytearray(HIGH.data)), "wav", 2.0)
    assert key(HIGH) == key(again)
    keys = {key(), key(HIGH), key(LOW), key(HIGH, LOW), key(LOW, HIGH), key(HIGH, images=(RED,))}
    assert len(keys) == 6


def test_audio_is_referred_to_by_its_hash_and_never_shown():
    told = text_of(heard("Which?", HIGH))
    assert told == f"Which?\n\n[audio: WAV, 2.0 seconds, {len(HIGH.data):,} bytes, sha256 {HIGH.sha256}]"
    assert "data" not in repr(HIGH)
    redactor = ChatRedactor(lambda text: text.replace("secret", "***"))
    assert redactor.of_request([heard("a secret", HIGH)]) == [heard("a ***", HIGH)]


def gemini(**options):
    return OpenAIChat(
        "gemini-2.5-flash", provider="google", base_url="https://host.invalid/v1", api_key=KEY, **options
    )


async def test_what_a_model_hears_is_told_by_itself_by_the_tables_and_by_its_server():
    assert await hears(gemini()) is True
    assert await hears(OpenAIChat("x", base_url="https://host.invalid/v1", api_key=KEY)) is None
    assert await hears(AnthropicChat("claude", api_key=KEY)) is False
    script = ScriptedModel(["x"])
    assert await hears(script) is None
    script.hears = True
    assert await hears(script) is True
    assert await taken_media(None, script) == {"images": False, "audio": True}
    assert await taken_media(False, script) == {"images": False, "audio": False}


@pytest.mark.parametrize(
    ("routes", "name", "expected"),
    [
        (llama_cpp("ultravox", audio=True), "any-name", True),
        (llama_cpp("gemma", vision=True), "gemma", False),
        (llama_cpp("gemma"), "gemma", None),
        (Ollama({"gemma": 8192}, capabilities=["completion", "audio"]).routes(), "gemma", True),
        (Ollama({"qwen": 8192}).routes(), "qwen", False),
        (Ollama({"old": 8192}, capabilities=None).routes(), "old", None),
        ({"/v1/models": {"data": [{"id": "x", "owned_by": "llamacpp"}]}, "/props": {"modalities": {"audio": "yes"}}}, "x", None),
    ],
)  # fmt: skip
async def test_a_server_of_this_machine_tells_whether_its_model_hears(routes, name, expected):
    with LocalServer(routes) as server:
        model = OpenAIChat(name, base_url=server.url, api_key=KEY)
        assert await hears(model) is expected
        if expected is False:
            with pytest.raises(AudioRefusedError, match=rf"`{name}` does not take audio: nothing was sent"):
                await check_hears(model)
        else:
            await check_hears(model)
        await model.aclose()


def test_a_prompt_with_audio_is_reserved_at_the_price_of_audio():
    dear = audio_price(gemini())
    plain = gemini().price
    assert dear > plain.prompt
    assert price_with_audio(plain, gemini()) == Price(dear, plain.completion)
    assert price_with_audio(Price(100, 1), gemini()) == Price(100, 1)
    assert price_with_audio(None, gemini()) is None
    assert price_with_audio(Price(1, 2), ScriptedModel(["x"])) == Price(1, 2)
