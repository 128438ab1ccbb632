"""The wire without a wire: events cut anywhere, figures that cannot be, failures told apart, keys masked."""

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_jupyter.models.openai import chat_replies
from rlm_jupyter.models.openai.chat_replies import (
    EventReader,
    Reply,
    WireError,
    clean_text,
    parse_json,
    usage_from,
)
from rlm_jupyter.models.openai.failures import Kind, failure_of_error_object
from rlm_jupyter.models.openai.mask_keys import mask_keys, public_url, quote
from rlm_jupyter.models.retry import RetryPolicy, retry_after_seconds


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_their_bytes_are_cut(newline, size):
    lines = [
        b": comment",
        b"event: x",
        'data: {"a": "ä\u2028"}'.encode(),
        b"",
        b"data:1",
        b"data: 2",
        b"",
        b"data: [DONE]",
    ]
    stream = newline.join(lines)
    reader, found = EventReader(), []
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])
    found += reader.end()
    assert found == ['{"a": "ä\u2028"}'.encode(), b"1\n2", b"[DONE]"]


def test_a_stream_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("rlm_jupyter.models.openai.chat_replies.MOST_BYTES", 100)
    reader = EventReader()
    with pytest.raises(WireError, match="more than 100 bytes"):
        list(itertools.chain.from_iterable(reader.feed(b"x" * 10) for _ in range(11)))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"1", b"null", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_json_object_is_refused(data):
    with pytest.raises(WireError):
        parse_json(data)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"choices": None},
        {"choices": "x"},
        {"choices": [None]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": "text"}]},
        {"choices": [{"delta": {"content": 7}, "finish_reason": 3}]},
        {"choices": [{"delta": {"content": [None, {"type": "text"}, {"type": "text", "text": 1}]}}]},
        {"usage": [1], "model": 3, "choices": {}},
        {"usage": {"cost": {}, "cost_details": 1, "prompt_tokens_details": 2}},
    ],
)
def test_whatever_a_server_sends_is_folded_without_an_exception(payload):
    reply = Reply()
    assert reply.add(payload) == ""
    assert (reply.text, reply.finish_reason, reply.usage, reply.cost) == ("", None, None, None)


def test_the_last_usage_of_a_stream_counts():
    reply = Reply()
    for count in (1, 2, 3):
        reply.add({"usage": {"prompt_tokens": 10, "completion_tokens": count}})
    reply.add({"usage": None})
    assert reply.usage == usage_from({"prompt_tokens": 10, "completion_tokens": 3})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 2, 0)),
        ({"prompt_tokens": 5.0, "completion_tokens": 0}, (5, 0, 0)),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}},
            (5, 2, 5),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}, (5, 2, 3)),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": -1}},
            (5, 2, 0),
        ),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": 0, "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ({"prompt_tokens": 5.5, "completion_tokens": 2}, None),
        ({"prompt_tokens": float("nan"), "completion_tokens": 2}, None),
        ({"prompt_tokens": 10**18, "completion_tokens": 2}, None),
        ({"prompt_tokens": 5, "completion_tokens": "2"}, None),
    ],
)
def test_usage_is_taken_only_where_it_can_be_true(raw, expected):
    usage = usage_from(raw)
    assert (usage and (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)) == expected


def test_halves_of_a_character_in_two_chunks_are_joined():
    reply = Reply()
    for half in ("\ud83d", "\ude00"):
        reply.add(json.loads(json.dumps({"choices": [{"delta": {"content": half}}]})))
    assert reply.text == "😀"
    assert clean_text("a\ud800b") == "a\ufffdb"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("overloaded", Kind.SERVER),
        ({"message": "upstream", "code": 502}, Kind.SERVER),
        ({"message": "slow down", "code": 429}, Kind.RATE_LIMIT),
        ({"message": "bad key", "code": 401}, Kind.KEY),
        ({"message": "no credits", "code": 402}, Kind.QUOTA),
        ({"message": "x/y is not a valid model ID", "code": 400}, Kind.MODEL),
        ({"message": "Your input is too long", "code": "invalid"}, Kind.CONTEXT),
        ({"message": "nope", "code": "context_length_exceeded"}, Kind.CONTEXT),
        ([1, 2], Kind.SERVER),
    ],
)
def test_an_error_object_after_a_200_is_told_apart(error, kind):
    assert failure_of_error_object(error).kind is kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "Fri, 99 Nov 9999999 10:00:30 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers, seconds):
    now = 1_795_168_800.0  # Friday, 20 November 2026, 10:00:00 GMT
    assert retry_after_seconds(headers, now=now) == seconds


def test_waits_grow_have_jitter_and_never_fall_below_what_was_asked():
    policy = RetryPolicy()
    for _ in range(50):
        assert 2.0 <= policy.wait(1, 2.0) <= 2.5
        assert policy.wait(1, 3600) <= 120.25
        assert 0.375 <= policy.wait(1, None) <= 0.5
        assert 3.0 <= policy.wait(4, None) <= 4.0
        assert policy.wait(50, None) <= 8.0
    assert len({policy.wait(1, None) for _ in range(10)}) > 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host:8443/v1?key=s#f", "https://host:8443/v1"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
        ("http://[::1/v1", "(not a URL)"),
    ],
)
def test_addresses_are_shown_without_their_secrets(url, shown):
    assert public_url(url) == shown


def test_what_a_provider_says_is_one_short_line_of_plain_text():
    assert quote("<!DOCTYPE html><script>alert(1)</script>") == ""
    assert quote("a\x1b[31m\n\u202eb\x00 ") == "a [31m b"
    assert len(quote("x" * 1000)) == 300
    assert mask_keys("my-own-secret and none", "my-own-secret", "none") == "*** and none"
    words = (
        "Bearer authentication is required, Basic authentication too; see key-value-store and pk_orders_id."
    )
    assert mask_keys(words) == words
    assert (
        mask_keys("Bearer aGVsbG8gd29ybGQ, Basic dXNlcjpwYXNz, key-1a2b3c4d") == "Bearer ***, Basic ***, ***"
    )


PIECES = st.sampled_from(["", "a", "ß", " ", "\ud83d", "\ude00", "long " * 10])
EXTRAS = st.dictionaries(
    st.sampled_from(["role", "refusal", "tool_calls", "reasoning_content", "reasoning", "function_call"]),
    st.sampled_from([None, "", [], "assistant", "thought", [{"id": "x"}]]),
    max_size=2,
)
CHUNKS = st.builds(
    lambda piece, extra, finish, model, more, usage: {
        "object": more, "model": model, "usage": usage,
        "choices": [{"index": 0, "delta": {"content": piece, **extra}, "finish_reason": finish}],
    },
    PIECES | st.none(),
    EXTRAS,
    st.sampled_from([None, None, None, "stop", "length"]),
    st.sampled_from(["m", None]),
    st.sampled_from(["chat.completion.chunk", "chat.completion.chunk", "chat.completion", None]),
    st.sampled_from([None, None, {"prompt_tokens": 3, "completion_tokens": 4}]),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(chunks=st.lists(CHUNKS, max_size=6))
def test_pieces_of_text_are_folded_the_quick_way_as_by_the_long_one(chunks):
    quick, long = Reply(), Reply()
    pieces = [quick.add(chunk) for chunk in chunks]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chat_replies, "_plain_piece", lambda payload: None)
        assert pieces == [long.add(chunk) for chunk in chunks]
    assert vars(quick) == vars(long)


def test_a_plain_piece_goes_the_quick_way():
    chunk = {
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": None,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "a", "refusal": None}, "finish_reason": None}],
    }  # fmt: skip
    assert chat_replies._plain_piece(chunk) == "a"
