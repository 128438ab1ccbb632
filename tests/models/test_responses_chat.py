"""OpenAI's Responses API: what is sent, how replies and errors are read, and reasoning that is kept across turns."""

import asyncio

import numpy as np
import pytest
from limits_parts import limits
from openai import AsyncOpenAI
from openai_server import Reply, error, fault, raw
from scripts import cell
from wire_servers import ResponsesServer

from rlm_jupyter import RLM
from rlm_jupyter.errors import AuthenticationError, ContextTooLongError, ModelError
from rlm_jupyter.guest.image_files import encode_images
from rlm_jupyter.models import CompletionRequest, ResponsesChat
from rlm_jupyter.models.images import Image
from rlm_jupyter.models.responses.reasoning_items import ReasoningItems
from rlm_jupyter.models.retry import RetryPolicy

KEY = "sk-test-0123456789abcdef"
RETRY = RetryPolicy(attempts=3, first_wait=0.01, longest_backoff=0.02)
STREAMED = [False, True]


@pytest.fixture
def server():
    with ResponsesServer() as server:
        yield server


@pytest.fixture
async def chat(server):
    model = ResponsesChat("test-model", base_url=server.url, api_key=KEY, timeout=20, retry=RETRY)
    yield model
    await model.aclose()


def ask(text="How many?", *, streamed=False, **changes):
    if streamed:
        changes.setdefault("on_delta", lambda _: None)
    changes.setdefault("max_tokens", 100)
    return CompletionRequest(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}], **changes
    )


@pytest.mark.parametrize("streamed", STREAMED)
async def test_a_reply_comes_byte_for_byte_with_its_usage(server, chat, streamed):
    text = "One.\r\n\u2028\x85 ```repl\nprint('ä€😀')\n```\n"
    server.script = [Reply(text, pieces=len(text), message={"reasoning": "hm"})]
    pieces = []
    completion = await chat.complete(ask(on_delta=pieces.append if streamed else None))
    assert completion.text == text
    assert pieces == (list(text) if streamed else [])
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (server.prompt_tokens, server.completion_tokens)
    assert (usage.cached_tokens, usage.estimated) == (server.prompt_tokens // 2, False)
    assert (completion.model, completion.finish_reason, completion.attempts) == ("test-model", "stop", 1)


async def test_the_request_is_one_that_the_api_takes_and_nothing_is_stored(server, chat):
    server.script = ["ok"]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    parameters = {
        "stop": ["x"],
        "seed": 1,
        "reasoning_effort": "low",
        "response_format": schema,
        "verbosity": "low",
    }
    request = ask(streamed=True, max_tokens=3, parameters={**parameters, "temperature": 0.5})
    assert (await chat.complete(request)).attempts == 1
    (sent,) = server.requests
    assert sent["store"] is False
    assert sent["max_output_tokens"] == 16
    assert sent["reasoning"] == {"effort": "low"}
    assert sent["text"] == {
        "format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}},
        "verbosity": "low",
    }
    assert [item["role"] for item in sent["input"]] == ["system", "user"]


async def test_images_go_as_parts_after_their_text(server, chat):
    server.script = ["a chart"]
    image = Image(encode_images([np.zeros((4, 6), np.uint8)])[0], 6, 4)
    messages = [{"role": "user", "content": "What is it?", "images": (image,)}]
    assert (await chat.complete(CompletionRequest(messages))).text == "a chart"
    text, part = server.requests[0]["input"][0]["content"]
    assert text == {"type": "input_text", "text": "What is it?"}
    assert part == {"type": "input_image", "image_url": f"data:image/png;base64,{image.base64}"}


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_a_reply_that_is_incomplete_says_why(server, chat, streamed, finish):
    server.script = [Reply("cut in the mid", finish=finish)]
    completion = await chat.complete(ask(streamed=streamed))
    assert (completion.text, completion.finish_reason) == ("cut in the mid", finish)


@pytest.mark.parametrize(
    "faulty",
    [
        fault("rate_limit", retry_after=0.01), fault("server_error"), fault("html_503"), fault("reset"),
        fault("reset_mid_body"), fault("truncated"), fault("error_event"), Reply(""),
        raw({"object": "response", "status": "failed", "error": {"code": "server_error", "message": "no"}}),
        raw("{", "application/json"), raw({"object": "response", "status": "completed", "output": []}),
    ],
    ids=["rate", "server", "html", "reset", "mid_body", "truncated", "failed_event", "empty", "failed", "json", "no_output"],
)  # fmt: skip
async def test_what_may_pass_is_tried_again_and_each_try_is_counted(server, chat, faulty):
    server.script = [faulty, "fine"]
    completion = await chat.complete(ask(streamed=True))
    assert (completion.text, completion.attempts, server.calls) == ("fine", 2, 2)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("unauthorized", AuthenticationError), ("context_too_long", ContextTooLongError), ("model_not_found", ModelError),
     ("quota", ModelError), ("bad_request", ModelError)],
)  # fmt: skip
async def test_what_cannot_pass_is_told_at_once_without_the_key(server, chat, name, kind):
    server.script = [fault(name)]
    with pytest.raises(kind) as caught:
        await chat.complete(ask(streamed=True))
    assert (server.calls, caught.value.attempts) == (1, 1)
    assert KEY not in str(caught.value)


async def test_a_server_without_the_api_is_told_of_by_its_address(openai_server):
    model = ResponsesChat("test-model", base_url=openai_server.url, api_key=KEY, retry=RETRY)
    with pytest.raises(ModelError, match=r"nothing that answers|no model"):
        await model.complete(ask())
    await model.aclose()


async def test_a_client_of_ones_own_sends_the_same(server):
    async with AsyncOpenAI(base_url=server.url, api_key=KEY) as client:
        model = ResponsesChat("test-model", client=client, retry=RETRY)
        server.script = [Reply("streamed", pieces=4), "whole"]
        pieces = []
        assert (await model.complete(ask(on_delta=pieces.append))).text == "streamed"
        assert "".join(pieces) == "streamed"
        assert (await model.complete(ask())).text == "whole"


# Reasoning across turns.


def turn(*said, run="r", agent="0"):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}]
    for reply in said:
        messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": "output"}]
    return CompletionRequest(messages, 100, code_block=True, run=run, agent=agent, on_delta=lambda _: None)


async def test_reasoning_comes_back_with_the_turns_that_it_belongs_to(server, chat):
    chat.keep_reasoning = True
    server.script = [Reply(f"turn {n}", message={"reasoning": f"thought {n}"}) for n in range(3)]
    await chat.complete(turn())
    await chat.complete(turn("turn 0"))
    await chat.complete(turn("turn 0", "turn 1"))
    assert server.returned == [[], ["thought 0"], ["thought 0", "thought 1"]]
    kinds = [item.get("type", item.get("role")) for item in server.requests[-1]["input"]]
    assert kinds == ["system", "user", "reasoning", "message", "user", "reasoning", "message", "user"]


async def test_a_turn_that_was_changed_and_another_agent_are_sent_none(server, chat):
    chat.keep_reasoning = True
    server.script = lambda _: Reply("turn 0", message={"reasoning": "thought"})
    await chat.complete(turn())
    await chat.complete(turn("turn 0, shortened"))
    await chat.complete(turn("turn 0", agent="0.1"))
    await chat.complete(turn("turn 0", run="s"))
    assert server.returned == [[]] * 4


async def test_without_being_asked_for_it_nothing_is_kept(server, chat):
    server.script = lambda _: Reply("turn 0", message={"reasoning": "thought"})
    await chat.complete(turn())
    await chat.complete(turn("turn 0"))
    assert server.returned == [[], []]
    assert all("include" not in request for request in server.requests)


async def test_a_model_that_encrypts_no_reasoning_is_asked_without_from_then_on(server, chat):
    chat.keep_reasoning = server.no_reasoning = True
    server.script = ["ok", "ok"]
    assert (await chat.complete(turn())).attempts == 2
    assert (await chat.complete(turn("ok"))).attempts == 1


async def test_reasoning_that_the_server_no_longer_takes_is_left_out(server, chat):
    chat.keep_reasoning = True
    server.script = lambda _: Reply("turn 0", message={"reasoning": "thought"})
    await chat.complete(turn())
    (items,) = chat._items._agents.values()
    next(iter(items.values())).items[0]["encrypted_content"] = "of another key"
    assert (await chat.complete(turn("turn 0"))).attempts == 2


async def test_the_tokens_of_kept_reasoning_are_known_before_a_request_is_sent(server, chat):
    chat.keep_reasoning = True
    server.script = lambda _: Reply("turn 0", message={"reasoning": "thought " * 100})
    await chat.complete(turn())
    messages = turn("turn 0").messages
    assert chat.added_tokens("r", "0", messages) == server.tokens("thought " * 100)
    assert chat.added_tokens("r", "0.1", messages) == 0
    chat.keep_reasoning = False
    assert chat.added_tokens("r", "0", messages) == 0


def test_each_turn_of_a_run_carries_the_reasoning_of_the_turns_before(server):
    cells = iter([cell("print('a')"), cell("print('b')"), cell("FINAL(1)")])
    server.script = lambda _: Reply(next(cells), message={"reasoning": "thought"})
    model = ResponsesChat("test-model", base_url=server.url, api_key=KEY, retry=RETRY)
    model.keep_reasoning = True
    rlm = RLM(model=model, limits=limits(), log_dir=None, cache=False)
    with rlm.run("What is it?") as run:
        assert run.raise_for_error().value == 1
        assert [len(returned) for returned in server.returned] == [0, 1, 2]
        told = [event for event in run.events if event.kind == "reply_finished"]
        assert sum(event.input_tokens for event in told) == server.prompt_tokens
        assert "sealed" not in str(run.events)


def test_a_run_reserves_them(server):
    cells = iter([cell("print('a')"), cell("print('b')"), cell("FINAL(1)")])
    server.script = lambda _: Reply(next(cells), message={"reasoning": "thought " * 2000})
    model = ResponsesChat("test-model", base_url=server.url, api_key=KEY, retry=RETRY)
    model.keep_reasoning = True
    # The thoughts of a turn have 4,000 tokens: what is left after the first one has no room for them and a second.
    rlm = RLM(
        model=model, limits=limits(prompt_tokens=12_000), log_dir=None, cache=False, completion_tokens=6000
    )
    with rlm.start("What is it?") as run:
        run.wait(60)
    sent = sum(len(returned) for returned in server.returned)
    assert server.prompt_tokens <= 12_000
    assert sent < 3
    assert run.status != "done"


def test_what_is_kept_is_bounded():
    kept = ReasoningItems()
    item = {"type": "reasoning", "encrypted_content": "x" * 100, "id": "rs_1"}
    for number in range(300):
        kept.keep(("run", str(number)), "text", [item], 5)
    kept.keep(("run", "large"), "text", [{**item, "encrypted_content": "x" * 2_000_000}], 5)
    kept.keep(("run", "open"), "text", [{"type": "reasoning", "id": "rs_1", "summary": []}], 5)
    for number in range(300):
        kept.keep(("run", "299"), f"text {number}", [item], 5)
    chat = [{"role": "assistant", "content": "text"}]
    assert (
        kept.of(("run", "0"), chat) == kept.of(("run", "large"), chat) == kept.of(("run", "open"), chat) == {}
    )
    assert kept.of(("run", "298"), chat) == {0: [{"type": "reasoning", "encrypted_content": "x" * 100}]}
    assert (
        kept.tokens(("run", "299"), [{"role": "assistant", "content": f"text {n}"} for n in range(300)])
        == 500
    )


def test_several_loops_share_what_is_kept(server):
    server.script = lambda _: Reply("turn 0", message={"reasoning": "thought"})
    model = ResponsesChat("test-model", base_url=server.url, api_key=KEY, retry=RETRY)
    model.keep_reasoning = True

    async def one(request):
        await model.complete(request)
        await model.aclose()

    asyncio.run(one(turn()))
    asyncio.run(one(turn("turn 0")))
    assert server.returned == [[], ["thought"]]


async def test_a_refusal_of_a_field_names_it(server, chat):
    with pytest.raises(ModelError, match="Unknown parameter: 'nonsense'"):
        await chat.complete(ask(parameters={"extra_body": {"nonsense": 1}}))
    server.script = [
        error(400, "Unsupported parameter: 'max_output_tokens' is too large: 100. At most 50."),
        "ok",
    ]
    assert (await chat.complete(ask())).text == "ok"
    assert server.requests[-1]["max_output_tokens"] == 50
