"""One plain completion in the place of agents: what is sent, when that is refused, and when it is suggested."""

import json

import pandas as pd
import pytest
from openai_server import OpenAIServer
from run_parts import asking

from rlm_jupyter import RLM, ConfigError, LimitReachedError, Limits
from rlm_jupyter.engine.plain.data_text import NoTextError, data_text
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.base import Price
from rlm_jupyter.models.openai.chat import OpenAIChat

CODE = "```repl\nFINAL(len(context))\n```"
FRAME = pd.DataFrame({"name": ["Ann", "Bob"], "n": [1, 2]})


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:

        def ask(*replies, context=FRAME, **options):
            model = ScriptedModel(list(replies))
            run = start({}, "Who has 2?", context, model=model, **{"plain": True, **options})
            run.requests = model.requests
            return run

        yield ask


def test_the_data_is_sent_whole_and_no_kernel_is_started(ask):
    run = ask("Bob\n", names=("orders",))
    assert run.error is None
    assert run.value == "Bob"
    (request,) = run.requests
    assert "Ann,1\nBob,2" in request.messages[1]["content"]
    assert "`orders`" in request.messages[1]["content"]
    assert "Who has 2?" in request.messages[1]["content"]
    assert run.tree.plain
    assert not [event for event in run.events if event.kind == "kernel_started"]
    assert [message["role"] for message in run.messages()] == ["system", "user", "assistant"]


@pytest.mark.parametrize(
    ("schema", "reply", "value"),
    [
        (int, "It is 2.\n```json\n2\n```", 2),
        (list[str], '["Bob"]', ["Bob"]),
        (
            {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            '{"n": 2}',
            {"n": 2},
        ),
    ],
)
def test_an_answer_is_typed_where_that_was_asked_for(ask, schema, reply, value):
    assert ask(reply, schema=schema).value == value


def test_a_table_is_one_where_columns_were_asked_for(ask):
    value = ask('[{"name": "Bob", "n": 2}]', schema={"name": "string", "n": "int64"}).value
    assert value.to_dict("records") == [{"name": "Bob", "n": 2}]
    assert str(value.dtypes["n"]) == "int64"


def test_an_answer_that_cannot_be_used_is_asked_for_once_more(ask):
    run = ask("Bob", "2", schema=int)
    assert run.value == 2
    assert [call.purpose for call in run.tree.agents["0"].calls] == ["plain", "repair"]
    run = ask("Bob", "Ann", schema=int)
    assert "no answer that can be used" in run.error.message


def test_limits_hold_for_it(ask):
    assert isinstance(ask("Bob", limits=Limits(tokens=50)).error, LimitReachedError)


def test_samples_of_plain_calls_are_compared(ask):
    run = ask("Bob", "Bob", "Ann", samples=3)
    assert run.value == "Bob"
    assert run.agreement.text == "2 of 3 agree"


def test_a_plain_call_cannot_be_gone_on_with(ask):
    run = ask("Bob")
    with pytest.raises(ConfigError, match="plain call"):
        run.ask("And who else?")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"context": "x" * 300_000}, "300,000 characters"),
        ({"context": pd.DataFrame({"n": range(300_000)})}, "more than 300,000"),
        ({"context": {"a": object}}, "no form as text"),
        ({"context": FRAME, "settings": {"window": 9000, "completion_tokens": 8990}}, "holds 9,000 tokens"),
        ({"checks": [lambda answer: None]}, "`checks`"),
        ({"tools": [json.dumps]}, "`tools`"),
        ({"step": True}, "`step`"),
        ({"plain": 1}, "True or False"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(ask, options, said):
    with pytest.raises(ConfigError, match=said):
        ask("Bob", **options)


def test_the_demo_model_is_a_script_and_reads_no_data():
    with pytest.raises(ConfigError, match="needs a language model"):
        RLM(model="demo", log_dir=None).start("Who has 2?", FRAME, plain=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a text", "a text"),
        (FRAME, "name,n\nAnn,1\nBob,2\n"),
        (FRAME.set_index("name"), "name,n\nAnn,1\nBob,2\n"),
        (FRAME.set_index("name")["n"], "name,n\nAnn,1\nBob,2\n"),
        ({"a": "one", "b": "two"}, "# a\none\n\n# b\ntwo"),
        ({"t": FRAME, "n": 3}, "# t\nname,n\nAnn,1\nBob,2\n\n\n# n\n3"),
        ([FRAME, "x"], "# 1\nname,n\nAnn,1\nBob,2\n\n\n# 2\nx"),
        ([1, None, {"a": (2.5, True)}], '[1, null, {"a": [2.5, true]}]'),
        (["ü", "b"], '["ü", "b"]'),
    ],
)
def test_data_as_text_is_the_whole_of_it(value, text):
    assert data_text(value, 1000) == text


@pytest.mark.parametrize(
    "value", [object(), b"bytes", {"a": [object()]}, [open], "x" * 1001, list(range(1001))]
)
def test_data_without_such_a_text_is_refused(value):
    with pytest.raises(NoTextError):
        data_text(value, 1000)


def test_nesting_without_end_is_refused():
    value = []
    value.append(value)
    with pytest.raises(NoTextError):
        data_text(value, 1000)


class TestChoice:
    """`plain="auto"`: one plain call if the data takes at most half of the window, else agents; told in the head."""

    @pytest.fixture
    def chosen(self, tmp_path):
        def chosen(context, question="How many?", **options):
            settings = {"window": 64_000, **options.pop("settings", {})}
            price = Price(10.0, 1.0)
            model = ScriptedModel(lambda m: "3" if "given whole" in m[0]["content"] else CODE, price=price)
            rlm = RLM(model=model, log_dir=None, cache=False, **settings)
            with rlm.start(question, context, plain="auto", **options) as run:
                run.wait(60)
                assert run.error is None
                (told,) = [text for text in run.tree.notices if "plain=auto" in text]
                assert run.tree.plain == ("one plain call" in told)
                return told

        return chosen

    @pytest.mark.parametrize("context", ["word " * 4000, FRAME, {"a": "b" * 4000}, [1, 2, 3], None])
    def test_data_that_fits_comfortably_is_sent_whole(self, chosen, context):
        told = chosen(context)
        assert "of the 64,000 that `scripted` holds" in told
        assert "at most" in told

    @pytest.mark.parametrize(
        ("context", "options", "reason"),
        [
            ("word " * 30_000, {}, "more than half of the 64,000"),
            (pd.DataFrame({"n": range(2_000_000)}), {}, "larger than the window"),
            ([object], {}, "no form as text"),
            ("word", {"settings": {"window": None}}, "is not known"),
            ("word", {"checks": [lambda value: None]}, "`checks` needs a kernel"),
            ("word", {"tools": [len]}, "`tools` needs a kernel"),
            ("word " * 8000, {"limits": Limits(tokens=25_000)}, "the limit `tokens`"),
            ("word " * 8000, {"limits": Limits(cost=0.1)}, "the limit `cost`"),
        ],
    )
    def test_for_other_data_agents_write_code(self, chosen, context, options, reason):
        assert reason in chosen(context, **options)

    def test_what_it_cannot_be(self, ask):
        with pytest.raises(ConfigError, match="True or False, or `'auto'`"):
            ask("Bob", plain="maybe")


class TestHint:
    """The tree's head says when a plain call would do, and about what it would cost."""

    @pytest.fixture
    def notices(self, tmp_path):
        with OpenAIServer(lambda _: "```repl\nFINAL(len(context))\n```") as server:
            model = OpenAIChat("test-model", base_url=server.url, api_key="sk-test-0123456789")

            def notices(context, **settings):
                price = settings.pop("price", (1.0, 10.0))
                options = settings.pop("options", {})
                rlm = RLM(model=model, price=price, log_dir=None, cache=False, **settings)
                with rlm.start("How many?", context, **options) as run:
                    run.wait(60)
                    return [text for text in run.tree.notices if "plain call" in text]

            yield notices

    @pytest.mark.parametrize("context", ["word " * 4000, FRAME, {"a": "b" * 4000}, [1, 2, 3]])
    def test_data_that_fits_the_window_is_told_of(self, notices, context):
        (text,) = notices(context, window=32_000)
        assert "would do, which costs about $0.0" in text

    def test_the_cost_follows_the_size(self, notices):
        (text,) = notices("word " * 16_000, window=64_000)  # 20,000 tokens, and a reply of 500
        assert "about $0.025" in text

    @pytest.mark.parametrize(
        ("context", "settings"),
        [
            ("word " * 40_000, {"window": 32_000}),
            (pd.DataFrame({"n": range(200_000)}), {"window": 32_000}),
            ("word", {}),
            (None, {"window": 32_000}),
            ("word", {"window": 32_000, "options": {"samples": 2}}),
            ("word", {"window": 32_000, "options": {"plain": True}}),
        ],
    )
    def test_nothing_is_said_where_it_does_not_fit_or_is_not_known(self, notices, context, settings):
        assert notices(context, **settings) == []

    def test_without_a_price_no_cost_is_told(self, notices):
        from rlm_jupyter.engine.plain.plain_data import plain_hint

        model = OpenAIChat("test-model", base_url="http://127.0.0.1:1/v1", api_key="sk-test-0123456789")
        settings = RLM(model=ScriptedModel([]), window=32_000, log_dir=None).settings
        assert plain_hint("word", 4, "q", model, settings, None).endswith("would do.")
