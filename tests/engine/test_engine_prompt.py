"""What the model is told: short, complete, and every example in it runs."""

import pytest
from prompt_examples import BLOCK, frame, labels
from scripts import Raw, by_question, question_of

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.agent.prompt import first_message, system_prompt
from rlm_jupyter.views import agent_page

VARIANTS = [(name, leaf) for name in ("default", "frugal", "small_context") for leaf in (False, True)]
WORDS = ["context", "llm_query", "llm_query_batched", "rlm_query", "SHOW_VARS", "budget", "FINAL", "schema="]


def examples(variant, leaf, kind=None):
    return BLOCK.findall(system_prompt(variant, leaf=leaf, kind=kind))


@pytest.mark.parametrize(("variant", "leaf"), VARIANTS)
def test_the_fixed_text_is_short_and_names_every_word(variant, leaf):
    text = system_prompt(variant, leaf=leaf)
    assert len(text) <= 4500
    assert [word for word in WORDS if word not in text] == []
    assert ("rlm_query_batched" in text) is not leaf
    assert ("You are at the depth limit" in text) is leaf
    for lesson in ("Look first", "milliseconds", "characters", "batch", "by code", "Check before FINAL"):
        assert lesson in text


def test_the_variants_differ_in_what_they_ask_for_and_share_the_rest():
    texts = {name: system_prompt(name) for name in ("default", "frugal", "small_context")}
    assert len(set(texts.values())) == 3
    assert "never make one call per row" in texts["frugal"]
    assert "12,000 characters" in texts["small_context"]
    shared = set(texts["default"].splitlines()) & set(texts["frugal"].splitlines())
    assert sum(map(len, shared)) > 0.75 * len(texts["default"])


def run_examples(context, blocks, *, variant="default", leaf=False, plain=labels):
    reason = "import pandas as pd\nFINAL(pd.DataFrame({'supplier': context.supplier[:1], 'reason': ['x']}))"
    script = {"root": blocks, "Why did refunds rise? Give a DataFrame: supplier, month, reason.": [reason]}
    model = by_question(script, plain=plain)
    limits = Limits(depth=0 if leaf else 1)
    return RLM(model=model, log_dir=None, cache=False, limits=limits, prompt=variant).run(
        "root", context=context
    )


@pytest.mark.parametrize(("variant", "leaf"), VARIANTS)
def test_every_example_runs_in_a_real_kernel(variant, leaf):
    blocks = examples(variant, leaf)
    assert len(blocks) == (5 if leaf else 6)
    with run_examples(frame(), blocks, variant=variant, leaf=leaf) as run:
        assert run.messages()[0]["content"] == system_prompt(variant, leaf=leaf, kind="table")
        turns = run.tree.agents["0"].turns
        assert [cell.status for turn in turns for cell in turn.cells] == ["ok"] * len(blocks)
        shown = [cell.output for turn in turns for cell in turn.cells]
        assert "DataFrame" in shown[0]
        assert "1 parts, 0 failed" in shown[2]
        rows = {"default": 200, "frugal": 400, "small_context": 50}[variant]
        assert shown[3] == str([True] * -(-450 // rows))
        if leaf:
            assert sum(map(len, run.value)) == 450
        else:
            assert "3 groups; (3, 2)" in shown[4]
            assert list(run.value["supplier"]) == ["a", "b", "c"]


def test_long_text_is_searched_by_code_and_read_in_fat_parts_that_cover_it():
    text = "".join(f"line {n}: {'refund due' if n % 500 == 0 else 'fine'}\n" for n in range(20_000))
    blocks = [block for block in examples("default", False) if "hits" in block or "notes" in block]
    with run_examples(text, [*blocks, "FINAL(parts)"]) as run:
        cells = [turn.cells[0] for turn in run.tree.agents["0"].turns]
        assert " 40 [" in cells[0].output
        calls = run.tree.agents["0"].calls
        assert len(calls) == len(run.value) == -(-len(text) // 99_500)
        assert "0 failed" in cells[1].output
        whole = run.value[0] + "".join(part[500:] for part in run.value[1:])
        assert whole == text


@pytest.mark.parametrize(("variant", "leaf"), VARIANTS)
@pytest.mark.parametrize("kind", ["text", "table"])
def test_examples_are_for_the_kind_of_data_alone_which_makes_the_text_shorter(variant, leaf, kind):
    whole, text = system_prompt(variant, leaf=leaf), system_prompt(variant, leaf=leaf, kind=kind)
    assert len(text) < len(whole)
    assert ("pandas" in text or 'context["comment"]' in text) is (kind == "table")
    assert ("refund|returned" in text) is (kind == "text")
    assert [word for word in WORDS if word not in text] == []


def test_every_example_for_a_text_runs_in_a_real_kernel():
    text = "".join(f"line {n}: {'refund due' if n % 500 == 0 else 'fine'}\n" for n in range(20_000))
    blocks = examples("default", False, "text")
    ask = "List the refunds in `context`: a list of dicts with date, amount, reason."
    script = {"root": blocks, ask: ["FINAL([{'date': '2026-01-01', 'amount': len(context), 'reason': ''}])"]}
    rlm = RLM(model=by_question(script), log_dir=None, cache=False, limits=Limits(depth=1))
    with rlm.run("root", context=text) as run:
        assert run.messages()[0]["content"] == system_prompt(kind="text")
        assert [cell.status for turn in run.tree.agents["0"].turns for cell in turn.cells] == ["ok"] * len(
            blocks
        )
        assert len(run.value) == -(-len(text) // 99_500)


def test_without_sub_calls_the_examples_fit_the_data_too():
    table, text = (system_prompt(sub_calls=False, kind=kind) for kind in ("table", "text"))
    assert "refund" in text
    assert "refund" not in table


def test_an_example_shows_the_error_of_a_part_that_failed():
    blocks = [block for block in examples("default", False) if "comment" in block]
    with run_examples(frame(), [*blocks, "FINAL(1)"], plain=lambda _: "no JSON at all") as run:
        shown = run.tree.agents["0"].turns[0].cells[0].output
        assert "does not match the schema" in shown


def test_the_question_the_schema_and_what_is_left_follow_the_fixed_text():
    message = first_message("Why {so}?", None, schema="a number", tools="def tax(x): ...")
    assert message.startswith("Question:\nWhy {so}?\n\nThere is no data besides")
    assert "FINAL takes a number" in message
    assert "def tax(x)" in message
    assert question_of([{"role": "user", "content": message}]) == "Why {so}?"


def test_sub_agents_at_the_depth_limit_are_told_so_and_have_the_same_settings():
    script = {"root": ["FINAL(rlm_query('sub', context=[1]))"], "sub": ["FINAL(context)"]}
    model = by_question(script)
    rlm = RLM(model=model, log_dir=None, cache=False, prompt="frugal", limits=Limits(depth=1))
    with rlm.run("root", context=[1]) as run:
        assert run.messages("0")[0]["content"] == system_prompt("frugal")
        assert run.messages("0.1")[0]["content"] == system_prompt("frugal", leaf=True)


def test_what_show_prompt_tells_is_what_was_sent():
    model = by_question({"root": ["print(len(context))", Raw("hm"), "FINAL(1)"]})
    with RLM(model=model, log_dir=None, cache=False).run("root", context="some text") as run:
        sent = [dict(message) for message in model.requests[-1].messages]
        assert [dict(message) for message in run.messages()[:-1]] == sent
        shown = agent_page.prompt(run.tree, "0")
        assert [{"role": m["role"], "content": m["content"]} for m in shown] == sent


@pytest.mark.parametrize("options", [{}, {"leaf": True}, {"sub_calls": False}])
def test_the_users_own_words_follow_the_fixed_text(options):
    fixed = system_prompt(**options)
    told = system_prompt(**options, instructions=" Amounts are in EUR.\nAnswer in French. ")
    assert told == f"{fixed}\nFrom the user, for all of this work:\nAmounts are in EUR.\nAnswer in French.\n"
    assert system_prompt(**options, instructions="") == fixed


def test_the_users_own_words_reach_every_agent_and_plain_calls_are_left_alone():
    script = {"root": ["FINAL([llm_query('plain'), rlm_query('sub', context=1)])"], "sub": ["FINAL(context)"]}
    model = by_question(script)
    with RLM(model=model, log_dir=None, cache=False, instructions="Amounts are in EUR.").run("root"):
        sent = [[m["content"] for m in request.messages] for request in model.requests]
    assert sorted(("Amounts are in EUR." in chat[0], len(chat) > 1) for chat in sent) == [
        (False, False),
        (True, True),
        (True, True),
    ]
