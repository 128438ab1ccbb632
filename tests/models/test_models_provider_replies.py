"""What providers' replies look like: texts, thoughts, counts and ends wherever they put them, streamed and whole."""

import json

import pytest
from openai_server import chunk, events, raw, whole

from rlm_jupyter.errors import EmptyReplyError, MalformedReplyError
from rlm_jupyter.models.base import CompletionRequest, Usage
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.chat_replies import EventReader, Reply
from rlm_jupyter.models.retry import RetryPolicy

STREAM = "text/event-stream"
TEXT = "Some words, then ```repl\nprint(1)\n``` and no more."


@pytest.fixture
async def chat(openai_server):
    retry = RetryPolicy(first_wait=0.01, longest_backoff=0.05)
    model = OpenAIChat("m", base_url=openai_server.url, api_key="sk-test-0123456789", retry=retry, timeout=20)
    yield model
    await model.aclose()


async def ask(chat, *, streamed=True, pieces=None):
    listen = ([] if pieces is None else pieces).append if streamed else None
    return await chat.complete(CompletionRequest([{"role": "user", "content": "hi"}], 500, listen))


def parts(text, size=7):
    return [chunk(text[start : start + size]) for start in range(0, len(text), size)]


def cumulative(text, size=7):
    ends = [*range(size, len(text), size), len(text)]
    return [chunk(None, delta=None, message={"content": text[:end]}) for end in ends]


STREAMS = {
    "whole message at the end": [*parts(TEXT), whole(TEXT)],
    "whole message without its blanks": [*parts(f"{TEXT} \n"), whole(TEXT)],
    "whole text in a delta of a whole completion": [
        *parts(TEXT),
        {"object": "chat.completion", "choices": [{"delta": {"content": TEXT}, "finish_reason": "stop"}]},
    ],
    "whole text in the last delta": [*parts(TEXT), chunk(TEXT, "stop")],
    "whole message beside an empty delta": [*parts(TEXT), chunk("", "stop", message={"content": TEXT})],
    "nothing but the whole message": [whole(TEXT)],
    "the last words only in the whole message": [*parts(TEXT)[:-2], whole(TEXT)],
    "message beside each delta, as far as it came": [
        *(chunk(p["choices"][0]["delta"]["content"], message={"content": TEXT[: 7 * i + 7]}) for i, p in enumerate(parts(TEXT))),
        chunk(None, "stop"),
    ],
    "messages in place of deltas, as far as they came": [*cumulative(TEXT), chunk(None, "stop")],
    "messages in place of deltas, in pieces": [
        *(chunk(None, delta=None, message=part["choices"][0]["delta"]) for part in parts(TEXT)),
        chunk(None, "stop"),
    ],
    "parts": [chunk(None, delta={"content": [{"type": "text", "text": TEXT}]}), chunk(None, "stop")],
    "parts of thoughts and text": [
        chunk(None, delta={"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
        chunk(None, delta={"content": [{"type": "output_text", "text": TEXT}]}),
        chunk(None, "stop"),
    ],
    "a text beside no message": [chunk(None, "stop", text=TEXT)],
    "thoughts before it": [
        chunk(None, delta={"content": None, "reasoning_content": "hm"}),
        chunk(None, delta={"content": "", "reasoning": "hm"}),
        *parts(TEXT),
        chunk(None, "stop"),
    ],
    "a refusal": [chunk(None, delta={"content": None, "refusal": TEXT}), chunk(None, "stop")],
    "signs of life between": [
        ": keep-alive", "data:", "event: ping\ndata: {}", "data: null", *parts(TEXT), "event: heartbeat\ndata: x",
        chunk(None, "stop"),
    ],
    "null as a text for no end": [*(chunk(p["choices"][0]["delta"]["content"], "null") for p in parts(TEXT)), chunk("", "stop")],
    "no empty lines between": ["\n".join(f"data: {json.dumps(one)}" for one in [*parts(TEXT), chunk("", "stop")])],
    "a list of chunks": [f"data: {json.dumps([*parts(TEXT), chunk('', 'stop')])}"],
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
async def test_a_streamed_text_is_taken_once_and_whole(openai_server, chat, name):
    openai_server.script = [raw(events(*STREAMS[name]), STREAM)]
    pieces = []
    completion = await ask(chat, pieces=pieces)
    assert completion.text.strip() == "".join(pieces).strip() == TEXT
    assert (completion.finish_reason, completion.attempts) == ("stop", 1)


def test_words_that_the_model_repeats_are_kept():
    reply = Reply()
    for piece in ("ha", "ha", "haha"):
        reply.add(chunk(piece))
    reply.add(chunk("hahahaha", "stop"))
    assert reply.text == "ha" * 8


def test_many_short_messages_after_a_long_text_are_no_work():
    reply = Reply()
    reply.add(chunk("x" * 2_000_000))
    joined = []
    reply.pieces = Counted(joined, reply.pieces)
    for _ in range(1000):
        reply.add(chunk(None, delta=None, message={"content": "x"}))
    assert joined == []
    assert len(reply.text) == 2_000_000


class Counted(list):
    """Tells when its items are read."""

    def __init__(self, told, items):
        super().__init__(items)
        self.told = told

    def __getitem__(self, index):
        self.told.append(index)
        return super().__getitem__(index)


WHOLE = {
    "a list of parts": whole([{"type": "text", "text": TEXT[:9]}, {"type": "text", "text": TEXT[9:]}]),
    "a list of texts": whole([TEXT[:9], TEXT[9:]]),
    "parts without a type": whole([{"text": TEXT}]),
    "an object": whole({"type": "text", "text": TEXT}),
    "a text beside no message": {"choices": [{"text": TEXT, "finish_reason": "stop"}]},
    "thoughts beside it": whole(TEXT, message={"reasoning": "hm", "reasoning_details": [{"text": "hm"}]}),
    "a refusal": whole(None, message={"refusal": TEXT}),
    "a refusal as a part": whole([{"type": "refusal", "refusal": TEXT}]),
    "an empty error": whole(
        TEXT, error={"code": 0, "message": ""}, base_resp={"status_code": 0}, success=True
    ),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_a_text_is_found_wherever_it_stands(openai_server, chat, name):
    openai_server.script = [raw(WHOLE[name])]
    completion = await ask(chat, streamed=False)
    assert (completion.text, completion.finish_reason, completion.attempts) == (TEXT, "stop", 1)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "kind", [STREAM, "text/plain; charset=utf-8", "application/json", "application/octet-stream", None]
)
@pytest.mark.parametrize(
    "begin", [b"", b"\n\n", b": hello\n\n", b"\xef\xbb\xbf", b"event: message\n", b"id: 1\n"]
)
async def test_a_stream_is_known_by_its_first_bytes(openai_server, chat, kind, begin, streamed):
    openai_server.script = [raw(begin + events(*parts(TEXT), chunk("", "stop")), kind)]
    completion = await ask(chat, streamed=streamed)
    assert (completion.text, completion.attempts) == (TEXT, 1)


@pytest.mark.parametrize("kind", [STREAM, "text/plain", None])
@pytest.mark.parametrize("begin", [b"", b"\n \n\n", b"\xef\xbb\xbf"])
async def test_a_whole_reply_is_one_under_any_content_type(openai_server, chat, kind, begin):
    openai_server.script = [raw(begin + json.dumps(whole(TEXT), indent=1).encode(), kind)]
    pieces = []
    assert (await ask(chat, pieces=pieces)).text == "".join(pieces) == TEXT


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json"])
async def test_chunks_one_to_a_line_are_a_stream_too(openai_server, chat, kind):
    lines = [*parts(TEXT), chunk("", "stop")]
    openai_server.script = [raw("\n".join(json.dumps(line) for line in lines), kind)]
    assert (await ask(chat)).text == TEXT


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_events_with_any_line_ends_are_cut_alike(newline, size):
    stream = newline.join(
        [b"event: error", b"data: one", b"data: two", b"", b'{"error": 1}', b"data: [DONE]", b"", b""]
    )
    reader, found = EventReader(), []
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])
    found += reader.end()
    assert [(bytes(one), one.event) for one in found] == [
        (b"one\ntwo", "error"),
        (b'{"error": 1}', ""),
        (b"[DONE]", ""),
    ]


# ---- what it cost

FIGURES = {"prompt_tokens": 1336, "completion_tokens": 31}
USAGES = {
    "at the top": ({"usage": FIGURES}, {}, (1336, 31, 0)),
    "in the choice": ({}, {"usage": {**FIGURES, "cached_tokens": 1280}}, (1336, 31, 1280)),
    "in the delta": ({}, {"delta": {"usage": FIGURES}}, (1336, 31, 0)),
    "under x_groq": ({"x_groq": {"usage": FIGURES}}, {}, (1336, 31, 0)),
    "null at the top, true in the choice": ({"usage": None}, {"usage": FIGURES}, (1336, 31, 0)),
    "0 at the top, true under x_groq": (
        {"usage": {"prompt_tokens": 0, "completion_tokens": 0}, "x_groq": {"usage": FIGURES}}, {}, (1336, 31, 0),
    ),
    "other names": ({"usage": {"input_tokens": 1336, "output_tokens": 31}}, {}, (1336, 31, 0)),
    "other names with details": (
        {"usage": {"input_tokens": 90, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 64}}}, {}, (90, 3, 64),
    ),
    "cached ones counted apart": (
        {"usage": {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 20}},
        {}, (100, 3, 70, False, None, 20),
    ),
    "OpenAI's writes to its cache": (
        {"usage": {"prompt_tokens": 100, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}}},
        {}, (100, 3, 60, False, None, 30),
    ),
    "the Responses API's writes": (
        {"usage": {"input_tokens": 100, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 90}}},
        {}, (100, 3, 60, False, None, 40),
    ),
    "LiteLLM's writes": (
        {"usage": {"prompt_tokens": 100, "completion_tokens": 3, "prompt_tokens_details": {"cache_creation_tokens": 30}}},
        {}, (100, 3, 0, False, None, 30),
    ),
    "thoughts only in the sum": ({"usage": {**FIGURES, "total_tokens": 1336 + 400}}, {}, (1336, 400, 0)),
    "no count of the reply but the sum": ({"usage": {"prompt_tokens": 5, "total_tokens": 9}}, {}, (5, 4, 0)),
    "a sum that cannot be": ({"usage": {**FIGURES, "total_tokens": 1}}, {}, (1336, 31, 0)),
    "DeepSeek's name": ({"usage": {**FIGURES, "prompt_cache_hit_tokens": 1000}}, {}, (1336, 31, 1000)),
    "in words": ({"usage": {"prompt_tokens": "many", "completion_tokens": "few"}}, {}, None),
    "null": ({"usage": {"prompt_tokens": None, "completion_tokens": None}}, {}, None),
    "negative": ({"usage": {"prompt_tokens": -1, "completion_tokens": 3}}, {}, None),
    "a list": ({"usage": [1, 2]}, {"usage": "none"}, None),
    "llama.cpp's timings": ({"timings": {"prompt_n": 36, "cache_n": 1300, "predicted_n": 31}}, {}, (1336, 31, 1300)),
    "timings of a prompt that is all in the cache": (
        {"timings": {"prompt_n": 0, "cache_n": 1336, "predicted_n": 31}}, {}, (1336, 31, 1336),
    ),
    "timings beside a usage": (
        {"usage": FIGURES, "timings": {"prompt_n": 1, "cache_n": 1, "predicted_n": 1}}, {}, (1336, 31, 0),
    ),
    "Ollama's own counts": ({"prompt_eval_count": 1336, "eval_count": 31}, {}, (1336, 31, 0)),
    "timings in words": ({"timings": {"prompt_n": "many", "cache_n": 0, "predicted_n": 31}}, {}, None),
    "timings that are a list": ({"timings": [36, 31], "eval_count": True}, {}, None),
    "timings below 0": ({"timings": {"prompt_n": -36, "cache_n": 1, "predicted_n": 31}}, {}, None),
}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", USAGES)
async def test_usage_is_found_wherever_it_stands(openai_server, chat, name, streamed):
    top, choice, expected = USAGES[name]
    if streamed:
        body = raw(events(chunk("ok"), {**chunk(None, "stop", **choice), **top}), STREAM)
    else:
        completion = whole("ok")
        del completion["usage"]
        message = {**completion["choices"][0]["message"], **choice.get("delta", {})}
        fields = {**{k: v for k, v in choice.items() if k != "delta"}, "message": message}
        completion["choices"] = [{**completion["choices"][0], **fields}]
        body = raw({**completion, **top})
    openai_server.script = [body]
    completion = await ask(chat, streamed=streamed)
    assert completion.text == "ok"
    assert completion.usage == (None if expected is None else Usage(*expected))


@pytest.mark.parametrize(
    "counts",
    [
        {"timings": {"prompt_n": 5, "predicted_n": 31}},
        {"timings": {"prompt_n": 0, "predicted_n": 31}},
        {"eval_count": 31},
    ],
    ids=["before cache_n", "nothing read anew", "no prompt_eval_count"],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_was_read_anew_is_no_count_of_the_prompt(openai_server, chat, counts, streamed):
    completion = whole("ok", **counts)
    completion.pop("usage", None)
    body = raw(events({**chunk("ok", "stop"), **counts}), STREAM) if streamed else raw(completion)
    openai_server.script = [body]
    request = CompletionRequest(
        [{"role": "user", "content": "word " * 800}],
        max_tokens=500,
        on_delta=(lambda _: None) if streamed else None,
    )
    usage = (await chat.complete(request)).usage
    assert usage.completion_tokens == 31, "the reply was counted"
    assert usage.prompt_tokens == pytest.approx(1000, rel=0.2)
    assert usage.estimated
    assert usage.at_most[0] >= 4000


async def test_a_count_of_the_server_is_not_replaced_by_one_of_what_it_read_anew(openai_server, chat):
    timings = {"choices": [], "timings": {"prompt_n": 5, "predicted_n": 31}}
    openai_server.script = [
        raw(events(chunk("ok", "stop"), {"choices": [], "usage": FIGURES}, timings), STREAM)
    ]
    assert (await ask(chat, streamed=True)).usage == Usage(1336, 31)


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": "ä" * 100},
        {"reasoning": "ä" * 100, "reasoning_details": [{"type": "reasoning.text", "text": "ä" * 100}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "ä" * 100}]}, "ok"]},
    ],
    ids=["one name", "two names for the same", "parts"],
)
async def test_thoughts_that_came_are_counted_once(openai_server, chat, message):
    openai_server.script = [raw(whole("ok", message={"content": "ok", **message}))]
    assert (await ask(chat)).thought_bytes == 200
    frame = whole("ok", message={"content": "ok", **message})
    openai_server.script += [raw(events(chunk(None, delta=message), chunk("ok"), frame), STREAM)]
    assert (await ask(chat, streamed=True)).thought_bytes == 200


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        # a running total with each chunk
        ([{**chunk(t), "usage": {"prompt_tokens": 9, "completion_tokens": n}} for n, t in enumerate("abc", 1)], (9, 3)),
        # in a last chunk without choices, after figures that were none
        ([chunk("abc"), {**chunk(None, "stop"), "usage": {"prompt_tokens": 0}}, {"choices": [], "usage": FIGURES}], (1336, 31)),
        # a last one that says nothing takes nothing away
        ([chunk("abc"), {**chunk(None, "stop"), "usage": FIGURES}, {"choices": [], "usage": {"prompt_tokens": 0}}], (1336, 31)),
        # counted before the text was there
        ([{**chunk(""), "usage": {"prompt_tokens": 9, "completion_tokens": 1}}, chunk("abc")], None),
    ],
)  # fmt: skip
async def test_of_several_usages_of_a_stream_the_last_true_one_counts(openai_server, chat, frames, expected):
    openai_server.script = [raw(events(*frames, chunk(None, "stop")), STREAM)]
    usage = (await ask(chat)).usage
    assert usage == (None if expected is None else Usage(*expected))


# ---- how it ends


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        *(
            ("STOP", "stop"),
            ("end_turn", "stop"),
            ("eos", "stop"),
            ("MAX_TOKENS", "length"),
            ("SAFETY", "content_filter"),
        ),
        *(
            ("tool_use", "tool_calls"),
            ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
            ({"type": "stop"}, "stop"),
        ),
    ],
)
async def test_an_end_has_one_name_whoever_says_it(openai_server, chat, said, meant, streamed):
    openai_server.script = [
        raw(events(chunk("ok"), chunk(None, said)), STREAM) if streamed else raw(whole("ok", said))
    ]
    completion = await ask(chat, streamed=streamed)
    assert (completion.text, completion.finish_reason) == ("ok", meant)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "thoughts",
    [
        *(
            {"reasoning_content": "hm"},
            {"reasoning": "hm"},
            {"thinking": "hm"},
            {"reasoning_details": [{"text": "hm"}]},
        ),
        {"content": [{"type": "thinking", "thinking": "hm"}]},
    ],
)
@pytest.mark.parametrize("text", ["", " \n\u200b"])
async def test_a_reply_of_thoughts_only_is_told_as_such(openai_server, chat, thoughts, text, streamed):
    message = {"content": text, **thoughts}
    body = (
        raw(events(chunk(None, delta=message), chunk(None, "stop")), STREAM)
        if streamed
        else raw(whole(text, message=thoughts))
    )
    openai_server.script = lambda _: body
    with pytest.raises(EmptyReplyError, match="only thought") as caught:
        await ask(chat, streamed=streamed)
    assert caught.value.only_thoughts
    assert "base_url" not in str(caught.value)
    assert "completion_tokens" in str(caught.value)
    assert openai_server.calls == caught.value.attempts == 2


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("text", ["", " \n", "\u200b\ufeff"])
async def test_a_reply_of_blanks_only_is_none(openai_server, chat, text, streamed):
    empty = raw(events(chunk(text), chunk(None, "stop")), STREAM) if streamed else raw(whole(text))
    openai_server.script = [empty, raw(whole("ok"))]
    assert (await ask(chat, streamed=streamed)).text == "ok"
    openai_server.script = lambda _: empty
    with pytest.raises(MalformedReplyError, match="without text") as caught:
        await ask(chat, streamed=streamed)
    assert type(caught.value) is EmptyReplyError
    assert not caught.value.only_thoughts


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call", None])
async def test_a_call_of_a_tool_is_told_as_the_end_of_a_reply(openai_server, chat, finish, streamed):
    call = {"tool_calls": [{"id": "1", "function": {"name": "python", "arguments": "{}"}}]}
    body = (
        raw(events(chunk(None, delta=call), chunk(None, finish)), STREAM)
        if streamed
        else raw(whole(None, finish, call))
    )
    openai_server.script = [body]
    completion = await ask(chat, streamed=streamed)
    assert (completion.text, completion.finish_reason) == ("", "tool_calls")
