"""Images in requests: where each protocol has them, what they may cost, and what a refusal of them means."""

import asyncio
import base64

import numpy as np
import pytest
from local_servers import LocalServer, Ollama, llama_cpp, lm_studio
from openai import AsyncOpenAI
from openai_server import OpenAIServer, Reply, error, fault, raw

from rlm_jupyter.engine.agent.vision import sees
from rlm_jupyter.engine.completions.cache_key import cache_request
from rlm_jupyter.engine.completions.redact_chats import ChatRedactor
from rlm_jupyter.engine.completions.sampling import Sampling
from rlm_jupyter.errors import ImagesRefusedError, ModelError
from rlm_jupyter.guest.image_files import encode_images
from rlm_jupyter.models import (
    CompletionRequest,
    OllamaChat,
    OpenAIChat,
    RetryPolicy,
    ScriptedModel,
    bounded_json,
)
from rlm_jupyter.models.base import text_of
from rlm_jupyter.models.cache import request_key
from rlm_jupyter.models.images import Image
from rlm_jupyter.models.local import known_servers
from rlm_jupyter.models.ollama import context_size
from rlm_jupyter.models.openai.chat_messages import sendable, with_parts
from rlm_jupyter.models.token_estimate import estimate_prompt_tokens
from rlm_jupyter.models.token_ratio import TokenRatio

FAST = RetryPolicy(first_wait=0.001, longest_backoff=0.002)
KEY = "sk-test-0123456789"


def image(value=0, height=4, width=6):
    (png,) = encode_images([np.full((height, width), value, np.uint8)])
    return Image(png, width, height)


RED, BLUE = image(1), image(2)


def shown(text="What is it?", *images):
    return {"role": "user", "content": text, "images": images}


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(bounded_json, "SECONDS", 60.0)
    monkeypatch.setattr(context_size, "_sizes", {})
    known_servers.forget_servers()


def ask(model, *messages, client=None):
    async def talk():
        try:
            return await model.complete(CompletionRequest(list(messages)))
        finally:
            await model.aclose()
            if client is not None:
                await client.close()

    return asyncio.run(talk())


def openai(server, **changes):
    return OpenAIChat("test-model", base_url=server.url, api_key=KEY, retry=FAST, **changes)


def test_openai_gets_the_text_and_then_each_image_as_a_data_uri():
    with OpenAIServer(["a cat"]) as server:
        ask(openai(server), {"role": "system", "content": "be short"}, shown("Which?", RED, BLUE))
    system, user = server.requests[0]["messages"]
    assert system == {"role": "system", "content": "be short"}
    assert user["content"][0] == {"type": "text", "text": "Which?"}
    urls = [part["image_url"]["url"] for part in user["content"][1:]]
    assert [base64.b64decode(url.removeprefix("data:image/png;base64,")) for url in urls] == [
        RED.png,
        BLUE.png,
    ]


def test_a_request_without_images_has_plain_texts():
    with OpenAIServer(["yes"]) as server:
        ask(openai(server), {"role": "user", "content": "Is it?"})
    assert server.requests[0]["messages"] == [{"role": "user", "content": "Is it?"}]


@pytest.mark.parametrize("client", [False, True], ids=["direct", "sdk"])
def test_a_retry_sends_the_same_images_again(client):
    with OpenAIServer([fault("rate_limit", retry_after=0.01), fault("server_error"), "a cat"]) as server:
        sdk = AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=0) if client else None
        model = OpenAIChat("test-model", client=sdk, retry=FAST) if client else openai(server)
        assert ask(model, shown("Which?", RED), client=sdk).text == "a cat"
    assert len(server.requests) == 3
    assert server.requests[0]["messages"] == server.requests[1]["messages"] == server.requests[2]["messages"]


def test_ollama_gets_images_in_their_own_field_and_a_context_that_holds_them():
    ollama = Ollama({"llava": 131072}, capabilities=["completion", "vision"])
    images = [image(n, 1200, 1600) for n in range(8)]
    with LocalServer(ollama.routes()) as server:
        ask(OllamaChat("llava", base_url=server.url, retry=FAST), shown("Which?", *images))
        (body,) = [b for (_, path), b in zip(server.asked, server.bodies, strict=True) if path == "/api/chat"]
    assert body["messages"] == [{"role": "user", "content": "Which?", "images": [i.base64 for i in images]}]
    assert body["options"]["num_ctx"] >= 8 * image(0, 1200, 1600).tokens


def test_ollama_without_vision_refuses_and_is_named():
    refused = pytest.raises(ImagesRefusedError, match=r"`qwen`.*does not take images")
    with LocalServer(Ollama({"qwen": 8192}).routes()) as server, refused:
        ask(OllamaChat("qwen", base_url=server.url, retry=FAST), shown("Which?", RED))


REFUSALS = [
    (400, "this model does not support image input (ref: b8bd630e)"),
    (400, "Model do not support image input. Request id: 0217726"),
    (500, "image input is not supported by this server"),
    (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
    (404, "No endpoints found that support image input"),
    (400, "Invalid content type. image_url is only supported by certain models."),
    (422, "Failed to deserialize the JSON body: messages[0]: unknown variant `image_url`, expected `text`"),
    (400, "test-model is not a multimodal model"),
    (400, "At most 0 image(s) may be provided in one prompt."),
    (400, "'messages.0.content' must be a string"),
    (400, "Image input is not enabled for this model"),
    (400, "This model doesn't support images."),
    (500, "Failed to create new sequence: this model is missing data required for image input"),
    (400, "Vision is not supported for this deployment"),
    (500, 'can only concatenate str (not "list") to str'),
    (500, "'list' object has no attribute 'strip'"),
    (422, "body.messages.0.content: Input should be a valid string"),
    (400, "Invalid type for 'messages[0].content': expected string, got array"),
]


@pytest.mark.parametrize(("status", "said"), REFUSALS)
def test_a_refusal_of_images_is_told_at_once_for_what_it_is(status, said):
    with OpenAIServer([error(status, said)]) as server:
        with pytest.raises(ImagesRefusedError, match=r"`test-model` at .* does not take images") as caught:
            ask(openai(server), shown("Which?", RED))
        assert server.calls == 1
    assert said.split()[0] in caught.value.message
    assert not caught.value.retryable


@pytest.mark.parametrize(("status", "said"), REFUSALS)
def test_the_same_words_about_a_prompt_without_images_mean_no_images(status, said):
    with OpenAIServer([error(status, said)] * 9) as server, pytest.raises(ModelError) as caught:
        ask(openai(server), {"role": "user", "content": "Which?"})
    assert not isinstance(caught.value, ImagesRefusedError)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "Incorrect API key provided"),
        (400, "You uploaded an unsupported image. Please make sure your image is valid."),
        (
            400,
            "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes",
        ),
        (404, "The model `qwen-vision` does not exist"),
        (400, "The model `x-vision` is not supported"),
        (400, "Your request was rejected by the safety system"),
        (402, "Your credit balance is too low"),
    ],
)
def test_other_refusals_of_a_request_with_images_stay_what_they_are(status, said):
    with OpenAIServer([error(status, said)]) as server, pytest.raises(ModelError) as caught:
        ask(openai(server), shown("Which?", RED))
    assert not isinstance(caught.value, ImagesRefusedError)


def test_a_refusal_after_a_200_counts_as_one():
    answer = raw({"error": {"message": "image input is not supported", "code": 400}})
    with OpenAIServer([answer]) as server, pytest.raises(ImagesRefusedError):
        ask(openai(server), shown("Which?", RED))


def test_words_without_end_are_searched_in_little_time():
    said = "image " * 100_000 + "not an " * 100_000
    with OpenAIServer([error(400, said)]) as server, pytest.raises(ModelError):
        ask(openai(server), shown("Which?", RED))


def test_messages_of_one_role_are_joined_with_all_their_images():
    chat = [
        shown("first", RED),
        {"role": "user", "content": "then"},
        shown("", BLUE),
        {"role": "system", "content": "s"},
    ]
    (joined,) = sendable(chat, system_role=False)
    assert joined["images"] == (RED, BLUE)
    assert joined["content"] == "first\n\nthen\n\n(no text)\n\ns"
    assert [part["type"] for part in with_parts([joined])[0]["content"]] == ["text", "image_url", "image_url"]


def test_the_bound_of_a_prompt_is_above_what_providers_count():
    def bound(width, height, model=""):
        return Image(b"", width, height).most_tokens(model)

    for width, height, openai_tiles in [
        (1024, 1024, 4),
        (2048, 4096, 6),
        (768, 2048, 8),
        (512, 512, 1),
        (4096, 4096, 4),
    ]:
        assert bound(width, height) >= 85 + 170 * openai_tiles
        assert bound(width, height, "gpt-4o-mini") >= 2833 + 5667 * openai_tiles
        assert bound(width, height) >= 2.46 * min(1536, -(-width // 32) * -(-height // 32)), (
            "patches of gpt-4.1-nano"
        )
        assert bound(width, height) >= min(1600, width * height / 750), "Anthropic"
        assert bound(width, height) >= min(4096, width * height / 256), "Pixtral"
    assert bound(600, 600) >= 6404, "Llama 3.2"
    assert bound(1000, 2400) >= 1000 * 2400 / 784, "Qwen2-VL"
    plain = [{"role": "user", "content": "x"}]
    assert (
        estimate_prompt_tokens([shown("x", RED, BLUE)])
        == estimate_prompt_tokens(plain) + 2 * RED.most_tokens()
    )
    assert estimate_prompt_tokens([shown("x", RED)], "gpt-4o-mini") > estimate_prompt_tokens(
        [shown("x", RED)]
    )


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 8000), (8000, 1), (310, 1000), (1600, 1500)])
def test_what_an_image_takes_about_is_below_the_bound(width, height):
    one = Image(b"", width, height)
    assert 0 < one.tokens <= one.most_tokens()


def test_a_models_tokens_of_texts_are_not_learnt_from_prompts_with_images():
    ratio = TokenRatio()
    ratio.learn([shown("x" * 4000, RED)], 1000)
    assert not ratio.learnt
    assert (
        ratio.prompt_tokens([shown("x" * 400, RED)])
        == ratio.prompt_tokens([{"role": "user", "content": "x" * 400}]) + RED.tokens
    )


def test_the_key_of_the_cache_is_that_of_the_images():
    model = OpenAIChat("m", base_url="https://host/v1", api_key=KEY)

    def key(*images):
        messages = [shown("Which?", *images)] if images else [{"role": "user", "content": "Which?"}]
        return request_key(model, cache_request(messages, Sampling(100)))

    again = Image(bytes(bytearray(RED.png)), RED.width, RED.height)
    assert key(RED) == key(again)
    assert len({key(), key(RED), key(BLUE), key(RED, BLUE), key(BLUE, RED)}) == 5
    assert key() == request_key(model, CompletionRequest([{"role": "user", "content": "Which?"}]))


def test_secrets_are_taken_out_of_the_text_and_the_images_stay():
    redactor = ChatRedactor(lambda text: text.replace("secret", "***"))
    wanted = [{"role": "user", "content": "a ***", "images": (RED,)}]
    assert redactor.of_request([shown("a secret", RED)]) == wanted
    assert redactor.of_chat("0", [shown("a secret", RED)]) == wanted


def test_an_image_is_referred_to_by_its_hash_and_never_shown():
    assert RED.sha256 in text_of(shown("Which?", RED))
    assert f"6 x 4 pixels, {len(RED.png)} bytes" in text_of(shown("Which?", RED))
    assert text_of({"role": "user", "content": "Which?"}) == "Which?"
    assert "IHDR" not in repr(RED)


async def known(given, model):
    try:
        return await sees(given, model)
    finally:
        await model.aclose()


@pytest.mark.parametrize(
    ("routes", "name", "expected"),
    [
        (llama_cpp("gemma", vision=True), "gemma", True),
        (llama_cpp("gemma", vision=True), "any-name", True),
        (llama_cpp("gemma", vision=False), "gemma", False),
        (llama_cpp("gemma"), "gemma", False),
        (Ollama({"llava": 8192}, capabilities=["completion", "vision"]).routes(), "llava", True),
        (Ollama({"qwen": 8192}).routes(), "qwen", False),
        (Ollama({"old": 8192}, capabilities=None).routes(), "old", False),
        (lm_studio({"qwen": 8192}), "qwen", False),
        ({**lm_studio({"vl": 8192}), "/api/v0/models": {"data": [{"id": "vl", "type": "vlm"}]}}, "vl", True),
        ({"/v1/models": {"data": [{"id": "x", "owned_by": "llamacpp"}]}, "/props": {"modalities": {"vision": "yes"}}}, "x", False),
        ({"/v1/models": {"data": [{"id": "x", "owned_by": "llamacpp"}]}, "/props": {"modalities": [1]}}, "x", False),
    ],
)  # fmt: skip
async def test_a_server_of_this_machine_tells_whether_its_model_sees(routes, name, expected):
    with LocalServer(routes) as server:
        assert await known(None, OpenAIChat(name, base_url=server.url, api_key=KEY)) is expected
        assert await known(not expected, OpenAIChat(name, base_url=server.url, api_key=KEY)) is not expected


async def test_no_other_server_is_asked_and_a_model_of_ones_own_may_tell():
    assert not await known(None, OpenAIChat("gpt-5", base_url="https://host.invalid/v1", api_key=KEY))
    model = ScriptedModel(["x"])
    assert not await sees(None, model)
    model.sees = True
    assert await sees(None, model)


def test_a_reply_with_images_still_counts_what_the_server_says():
    with OpenAIServer([Reply("a cat", usage={"prompt_tokens": 777, "completion_tokens": 3})]) as server:
        completion = ask(openai(server), shown("Which?", RED))
    assert completion.usage.prompt_tokens == 777
