"""About how many tokens a text has: guessed from its script, learnt from what a server tells, never led astray by it."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_jupyter.models.base import Usage
from rlm_jupyter.models.model_statistics import statistics_of
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.token_estimate import estimate_prompt_tokens
from rlm_jupyter.models.token_ratio import TokenRatio, guess_tokens

PROSE = "The supplier raised its prices in September, and refunds followed. " * 40


def chat(*texts):
    return [{"role": "user", "content": text} for text in texts]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [(PROSE, 0.24, 0.26), ("def f(x):\n    return x + 1\n" * 50, 0.24, 0.26), ("Возврат выше " * 50, 0.4, 0.9),
     ("退款率上升" * 50, 0.8, 1.5), ("🙂" * 50, 1.0, 2.0)],
)  # fmt: skip
def test_prose_and_code_have_four_characters_a_token_and_other_scripts_fewer(text, least, most):
    assert least <= guess_tokens(text) / len(text) <= most


@pytest.mark.parametrize("per_token", [1.5, 2.5, 4.0, 7.0])
def test_a_servers_counts_are_the_measure_of_what_it_does_not_count(per_token):
    ratio = TokenRatio()
    for _ in range(5):
        ratio.learn(chat(PROSE), round(len(PROSE) / per_token))
    assert ratio.text_tokens(PROSE) == pytest.approx(len(PROSE) / per_token, rel=0.1)
    assert ratio.prompt_tokens(chat(PROSE * 3)) == pytest.approx(3 * len(PROSE) / per_token, rel=0.1)


@pytest.mark.parametrize("lie", [0, 1, 10**9, len(PROSE) + 1000, len(PROSE) // 60])
def test_a_count_that_cannot_be_true_teaches_nothing(lie):
    ratio = TokenRatio()
    before = ratio.prompt_tokens(chat(PROSE))
    ratio.learn(chat(PROSE), lie)
    assert ratio.prompt_tokens(chat(PROSE)) == before
    assert not ratio.learnt


def test_one_short_prompt_in_a_long_template_does_not_settle_the_ratio():
    ratio = TokenRatio()
    ratio.learn(chat("Hi"), 38)
    assert ratio.text_tokens(PROSE) < 1.5 * len(PROSE) / 4
    for _ in range(20):
        ratio.learn(chat(PROSE), len(PROSE) // 4)
    assert ratio.text_tokens(PROSE) == pytest.approx(len(PROSE) / 4, rel=0.05)


def test_another_model_under_the_same_name_is_learnt_anew():
    ratio = TokenRatio()
    for tokens_per_byte in (0.25, 0.5):
        for _ in range(3000):
            ratio.learn(chat(PROSE), round(len(PROSE) * tokens_per_byte))
        assert ratio.text_tokens(PROSE) == pytest.approx(len(PROSE) * tokens_per_byte, rel=0.1)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # beside others it may be
@given(
    st.lists(st.text(max_size=100), max_size=4),
    st.lists(st.tuples(st.text(max_size=100), st.integers(0, 500))),
)
def test_an_estimate_is_never_above_the_bound_whatever_was_learnt(texts, told):
    ratio = TokenRatio()
    for text, tokens in told:
        ratio.learn(chat(text), tokens)
    assert 0 <= ratio.prompt_tokens(chat(*texts)) <= estimate_prompt_tokens(chat(*texts))
    for text in texts:
        assert 0 <= ratio.text_tokens(text) <= len(text.encode("utf-8", "surrogatepass"))
    usage = ratio.usage(chat(*texts), "".join(texts), max_tokens=50)
    assert usage.at_most is not None
    assert usage.prompt_tokens <= usage.at_most[0]
    assert usage.completion_tokens <= usage.at_most[1]


def test_what_came_is_counted_with_its_thoughts_and_a_reply_that_broke_off_to_its_bound():
    ratio, messages = TokenRatio(), chat(PROSE)
    plain = ratio.usage(messages, "x" * 400, max_tokens=4000)
    assert plain == Usage(
        plain.prompt_tokens, 101, estimated=True, at_most=(estimate_prompt_tokens(messages), 4000)
    )
    assert ratio.usage(messages, "x" * 400, thought_bytes=800, max_tokens=4000).completion_tokens == 301
    assert ratio.usage(messages, "x" * 400, max_tokens=90, finish_reason="length").completion_tokens == 90
    assert ratio.usage(messages, "x" * 400, max_tokens=4000, finish_reason=None).completion_tokens == 4000
    longer = ratio.usage(messages, "x" * 400, max_tokens=50)  # a server that does not mind the bound
    assert (longer.completion_tokens, longer.at_most[1]) == (101, 101)


def test_many_threads_lose_no_count():
    ratio = TokenRatio()
    threads = [
        threading.Thread(target=lambda: [ratio.learn(chat(PROSE), 1340) for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ratio.text_tokens(PROSE) == pytest.approx(1340, rel=0.02)


def test_each_model_of_each_server_is_known_for_itself():
    def model(name, port):
        return OpenAIChat(name, base_url=f"http://127.0.0.1:{port}/v1", api_key="none")

    known = statistics_of(model("a", 1))
    assert statistics_of(model("a", 1)) is known
    assert statistics_of(model("b", 1)) is not known
    assert statistics_of(model("a", 2)) is not known
    for number in range(300):
        statistics_of(model(f"m{number}", 1))
    assert statistics_of(model("a", 1)) is not known, "the table is bounded"
