"""ScriptedModel: order, functions, exceptions, usage, streaming, and what it refuses."""

import asyncio
import concurrent.futures
import re

import pytest

from rlm_jupyter.errors import ConfigError, ContextTooLongError, ModelError
from rlm_jupyter.models import ChatModel, Completion, CompletionRequest, Price, ScriptedModel, Usage


def ask(text="hello", **changes):
    return CompletionRequest([{"role": "user", "content": text}], **changes)


async def test_a_list_is_handed_out_in_order_and_says_when_it_is_exhausted():
    model = ScriptedModel(["one", "two"], name="script")
    assert isinstance(model, ChatModel)
    assert model.scripted
    assert model.price == Price(0, 0)
    assert [(await model.complete(ask())).text for _ in range(2)] == ["one", "two"]
    with pytest.raises(ModelError, match=re.escape("`script` has no reply left: its list of 2")):
        await model.complete(ask())
    assert len(model.requests) == 3


async def test_replies_carry_the_models_name_and_no_usage_unless_given():
    given = Completion("b", usage=Usage(7, 3), model="other", finish_reason="length")
    model = ScriptedModel(["a", given])
    assert await model.complete(ask()) == Completion("a", model="scripted")
    assert await model.complete(ask()) == given


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(1, 2), Usage(1, 2)),
        (lambda messages, text: Usage(len(messages), len(text)), Usage(1, 5)),
    ],
)
async def test_usage_can_be_fixed_or_computed(usage, expected):
    assert (await ScriptedModel(["reply"], usage=usage).complete(ask())).usage == expected


def plain(messages):
    return messages[-1]["content"].upper()


async def coroutine(messages):
    await asyncio.sleep(0)
    return messages[-1]["content"].upper()


def two(messages, request):
    return f"{messages[-1]['content'].upper()}{request.max_tokens}"


def closure(messages, suffix="!"):
    return messages[-1]["content"].upper() + suffix


def everything(*arguments):
    return str(len(arguments))


class Method:
    async def __call__(self, messages, request):
        return f"{messages[0]['content']} {request.max_tokens}"


@pytest.mark.parametrize(
    ("function", "expected"),
    [(plain, "A"), (coroutine, "A"), (two, "A9"), (closure, "A!"), (everything, "2"), (Method(), "a 9")],
)
async def test_a_function_answers_plain_or_async_with_or_without_the_request(function, expected):
    assert (await ScriptedModel(function).complete(ask("a", max_tokens=9))).text == expected


@pytest.mark.parametrize("error", [ContextTooLongError("too long"), ContextTooLongError])
async def test_an_exception_in_the_script_is_raised_and_the_script_goes_on(error):
    model = ScriptedModel([error, "next"])
    with pytest.raises(ContextTooLongError):
        await model.complete(ask())
    assert (await model.complete(ask())).text == "next"


async def test_a_function_may_give_or_raise_an_error_and_its_own_bugs_are_named():
    with pytest.raises(ContextTooLongError):
        await ScriptedModel(lambda _: ContextTooLongError("x")).complete(ask())
    with pytest.raises(ModelError, match=r"`odd` raised `KeyError`: 'missing'"):
        await ScriptedModel(lambda _: {}["missing"], name="odd").complete(ask())
    with pytest.raises(ModelError, match="gave a `NoneType`"):
        await ScriptedModel(lambda _: None).complete(ask())


@pytest.mark.parametrize("replies", ["text", 7, [3], {"a": "b"}, ["a", int]])
def test_what_is_no_script_is_refused_at_once(replies):
    with pytest.raises(ConfigError):
        ScriptedModel(replies)
    with pytest.raises(ConfigError, match="delay"):
        ScriptedModel([], delay=-1)
    with pytest.raises(ConfigError, match="price"):
        ScriptedModel([], price=(1, "much"))
    assert ScriptedModel([], price=(1, 2)).price == Price(1.0, 2.0)


@pytest.mark.parametrize("text", ["", "a", "a longer reply, in pieces", "é" * 7])
async def test_the_text_streams_in_pieces_that_make_the_reply(text):
    pieces = []
    assert (await ScriptedModel([text]).complete(ask(on_delta=pieces.append))).text == text
    assert "".join(pieces) == text
    assert len(pieces) <= 4
    assert len(text) < 4 or len(pieces) > 1


async def test_requests_keep_the_messages_as_they_were_asked():
    messages = [{"role": "user", "content": "before"}]
    model = ScriptedModel(lambda given: given[0].update(content="rewritten") or "ok")
    await model.complete(CompletionRequest(messages, max_tokens=5))
    messages[0]["content"] = "after"
    assert model.requests[0].messages == [{"role": "user", "content": "before"}]
    assert model.requests[0].max_tokens == 5


def test_each_reply_is_given_once_from_many_threads():
    model = ScriptedModel([str(i) for i in range(200)])
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        texts = list(threads.map(lambda _: asyncio.run(model.complete(ask())).text, range(200)))
    assert sorted(texts, key=int) == [str(i) for i in range(200)]


async def test_a_delayed_reply_can_be_cancelled():
    task = asyncio.ensure_future(ScriptedModel(["a"], delay=60).complete(ask()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
