"""The limit `exposure`: tokens of data that may leave, reserved before they are sent; and `%rlm sent`."""

import json

import pandas as pd
import pytest
from magics_parts import terminal_shell

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.completions.data_tokens import data_tokens
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load
from rlm_jupyter.records.sent_values import sent_text, sent_values
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.text_tree import tree
from rlm_jupyter.views.widget_messages import run_fields


def block(code):
    return f"```repl\n{code}\n```"


@pytest.fixture
def ask(openai_server, tmp_path):
    runs = []

    def start(script, context=None, **settings):
        openai_server.script = script
        rlm = RLM(
            "test-model", base_url=openai_server.url, api_key="sk-test-0123456789", log_dir=tmp_path / "logs", cache=False,
            require_look=False, **settings,
        )  # fmt: skip
        runs.append(rlm.start("Which city?", context, names=("people",)).wait(120))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def people():
    return pd.DataFrame(
        {"email": ["zelda@mail.example", "otto@mail.example"], "city": ["Kiel", "Bonn"], "n": [1, 20000]}
    )


def test_fixed_text_the_question_and_the_models_own_words_are_no_data():
    first = "Question:\nWhich city?\n\nThe data (`context`, `people`):\nabcd\n\nYou may spend: 3 turns.\n\nBegin by looking at the data."
    chat = [
        {"role": "system", "content": "x" * 4000},
        {"role": "user", "content": first},
        {"role": "assistant", "content": "y" * 4000},
        {
            "role": "user",
            "content": "Output:\n12345678\n\nThis is your last turn: call FINAL(...) now, with the best.",
        },
    ]
    assert data_tokens(chat[:2], "turn", ["Which city?"]) == 1
    assert data_tokens(chat[2:], "turn", ["Which city?"]) == 2
    assert data_tokens([{"role": "user", "content": "Which city?!"}], "llm_query", ["Which city?"]) == 3


def test_what_would_pass_the_limit_is_not_sent(ask, openai_server):
    run = ask([block("print('x' * 4000)"), block("FINAL(1)")], people(), limits=Limits(exposure=500))
    assert run.error.limit == "exposure"
    assert len(openai_server.received) == 1
    assert "xxxx" not in json.dumps([one.json for one in openai_server.received])
    assert 0 < run.tree.data_tokens < 500
    assert "`exposure` of 500" in str(run.error)
    assert "`--exposure`, `Limits(exposure=...)`" in str(run.error)


def test_the_first_message_is_reserved_too(ask, openai_server):
    run = ask([block("FINAL(1)")], people(), limits=Limits(exposure=5))
    assert run.error.limit == "exposure"
    assert not openai_server.received


def test_each_text_counts_when_it_is_sent_first(ask):
    run = ask(
        [block("print('x' * 4000)"), block("1"), block("FINAL(1)")], people(), limits={"exposure": 5000}
    )
    assert run.value == 1
    turns = [turn.call.data_tokens for turn in run.tree.agents["0"].turns]
    assert 1000 <= turns[1] < 1010
    assert turns[2] < 20
    assert run.tree.data_tokens == sum(turns)


def test_prompts_of_code_count_and_the_code_sees_the_limit(ask, openai_server):
    def script(request):
        if request["messages"][0]["role"] == "user":
            return "ok"
        return block(
            "a = llm_query('y' * 400)\ntry:\n    llm_query('z' * 4000)\nexcept Exception as e:\n    b = str(e)\nFINAL([a, b])"
        )

    run = ask(script, people(), limits={"exposure": 600})
    assert run.value[0] == "ok"
    assert "`exposure` of 600" in run.value[1]
    assert not any("zzzz" in json.dumps(one.json) for one in openai_server.received)


def test_a_prompt_of_many_at_once_stays_within_the_limit(ask, openai_server):
    def script(request):
        if request["messages"][0]["role"] == "user":
            return "ok"
        return block("FINAL([str(one) for one in llm_query_batched(['y' * 400 for _ in range(50)])])")

    run = ask(script, people(), limits={"exposure": 1000})
    assert run.value.count("ok") == sum("yyyy" in json.dumps(one.json) for one in openai_server.received)
    sent = sum("yyyy" in json.dumps(one.json) for one in openai_server.received)
    assert 0 < sent <= 10
    assert run.tree.data_tokens <= 1000


def test_the_head_of_the_tree_shows_it(ask):
    run = ask([block("FINAL(1)")], people(), limits={"exposure": 2000}, hide=["email"])
    sent = run.tree.data_tokens
    line = f"Data sent: {sent} of 2,000 tokens · hidden: email"
    assert line in tree(run.tree)
    assert line in static_html(run.tree)
    message = run_fields(run.tree)
    assert (message["data_tokens"], message["exposure_limit"], message["hidden"]) == (sent, 2000, ["email"])
    assert load(run.log_path).tree.data_tokens == sent


def test_what_was_sent_is_told_by_column_and_turn(ask):
    turns = [
        block("print(people.email[0], people.city[0], people.city[0])"),
        block("print(people.n[1], people.email[0])"),
        block("FINAL(1)"),
    ]
    run = ask(turns, people(), hide=["email"], sample_rows=0)
    requests = sent_values(run.tree, people())
    assert [(one.tokens, vars(one)["values"]) for one in requests] == [
        ({}, {}),
        ({"email": {"⟨email:1⟩": 1}}, {"city": {"Kiel": 2}}),
        ({"email": {"⟨email:1⟩": 1}}, {"n": {"20000": 1}}),
    ]
    text = sent_text(run.tree, requests, with_data=True)
    assert "email (hidden): 1 value, 2 times: ⟨email:1⟩ x2" in text
    assert "city: 1 value, 2 times: Kiel x2" in text
    assert f"{run.tree.data_tokens} tokens of data in 3 requests" in text
    assert "zelda" not in text
    from_log = load(run.log_path).tree
    told = sent_text(from_log, sent_values(from_log), with_data=False)
    assert "email (hidden): 1 value, 2 times" in told
    assert "no longer held" in told


def test_the_command_prints_it(tmp_path, capsys):
    def reply(messages):
        return (
            block("print(people.email[0], people.city[0])")
            if len(messages) == 2
            else block("FINAL(people.email[0])")
        )

    with terminal_shell(tmp_path) as shell:
        shell.user_ns.update(people=people(), model=ScriptedModel(reply))
        shell.run_cell("%%rlm people -m model -o who --hide email --exposure 3000\nWho is first?")
        assert shell.user_ns["who"] == "zelda@mail.example"
        capsys.readouterr()
        shell.run_cell("%rlm sent")
        told = capsys.readouterr().out
        assert "of 3,000 tokens of data" in told
        assert "city: 2 values" in told
        assert "email (hidden): 2 values" in told
        assert "zelda" not in told
        shell.run_cell("%config RLMMagics.hide = ['email', 'city']")
        shell.run_cell("%%rlm people -m model --dry-run\nWho is zelda@mail.example?")
        shown = capsys.readouterr().out
        assert "⟨city:1⟩" in shown
        assert "zelda" not in shown
