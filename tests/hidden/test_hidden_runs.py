"""Hidden columns in runs: a server on loopback sees none of their values, and the answers hold them."""

import json

import pandas as pd
import pytest
from hidden_requests import ENCODED, SHOWN, assert_nothing_left, block, seen
from planted_values import BORN, EMAILS, HIDE, NAMES, PHONES, PLANTED, SALARIES, frame, leaks

from rlm_jupyter import RLM, Hidden
from rlm_jupyter.errors import RLMError
from rlm_jupyter.events.events import AgentStarted
from rlm_jupyter.export_file import export_run
from rlm_jupyter.run_setup.hidden_data import exported, outside
from rlm_jupyter.security.hidden.hidden_columns import HiddenColumn
from rlm_jupyter.security.hidden.hidden_values import HiddenValues


def test_forty_values_in_all_ways_out_and_none_leaves(ask, openai_server):
    def look_up(number):
        """Return the record of a person."""
        return {"number": number, "mail": people.email[number], "pay": int(people.salary[number])}

    people = frame()
    turns = {
        "": [
            SHOWN,
            ENCODED,
            "people.describe(include='all')",
            "SHOW_VARS(); one = people.email[3]; names = list(people['name'])",
            "print(look_up(1)); raise KeyError(people.email[2], people.salary[4])",
            "def f(mail, pay):\n    raise ValueError(f'no {mail} of {pay}')\nf(people.email[0], people.salary[0])",
            "a = llm_query(f'Is {people.email[0]} of {people.salary[0]} a person?')\nprint(a)",
            "b = llm_query_batched([f'{row.email}|{row.phone}' for row in people.itertuples()])\nprint(b)",
            "c = rlm_query(f'Who is {people.name[1] if 0 else names[1]}?', context=people[['email', 'salary']])\nprint(c)",
            "d = rlm_query('List', context={'who': names, people.email[5]: 1}, name=people.email[6])\nprint(d)",
            "FINAL({'a': a, 'b': b, 'c': c, 'd': d, 'all': people})",
        ],
        "Who is": ["print(context)\ncontext", "FINAL(context.email[0])"],
        "List": ["print(context)", "FINAL([context['who'], list(context)])"],
    }
    run = ask(turns, people, names=("people",), plain=lambda prompt: prompt[:60])
    value = run.value
    assert value["a"] == f"Is {EMAILS[0]} of {SALARIES[0]} a person?"
    assert value["b"] == [f"{mail}|{phone}" for mail, phone in zip(EMAILS, PHONES, strict=True)]
    assert value["c"] == EMAILS[0]
    assert value["d"] == [NAMES, ["who", EMAILS[5]]]
    pd.testing.assert_frame_equal(value["all"], people)
    assert_nothing_left(openai_server)
    assert "⟨email:1⟩" in "".join(seen(openai_server))
    assert leaks(run.log_path.read_text()) == []
    assert not run.log_path.with_suffix(".values").exists()


def test_tokens_that_a_model_writes_are_the_values(ask, openai_server):
    turns = [
        "print(people.email[0], people.salary[3])",
        """\
import re
# ⟨email:1⟩ was first
found = people[people.email == '⟨email:1⟩']
paid = people[people.salary < ⟨salary:1⟩]
again = [mail for mail in people.email if re.fullmatch(r'⟨email:2⟩', mail)]
print(len(found), again)
""",
        "FINAL([list(found.email), len(paid), f'{again[0]} and ⟨email:8⟩', '⟨salary:4⟩'])",
    ]
    run = ask(turns, frame(), names=("people",))
    assert run.value == [[EMAILS[0]], 6, f"{EMAILS[1]} and {EMAILS[7]}", str(SALARIES[3])]
    assert_nothing_left(openai_server)
    told = "".join(message["content"] for message in run.messages())
    assert "'⟨email:1⟩'" in told  # what the model wrote stays in its chat as it wrote it


def test_a_number_that_was_seen_as_a_token_was_not_made_up(ask):
    turns = ["print(people.salary[0])", "FINAL(⟨salary:1⟩)", "FINAL('was sent back')"]
    assert ask(turns, frame(), names=("people",), look=True).value == SALARIES[0]


def test_replies_of_plain_completions_have_the_values(ask, openai_server):
    turns = [
        "x = llm_query('Who?', schema={'type': 'object', 'properties': {'who': {'type': 'string'}}})\ny = llm_query('Again')\nFINAL([x, y])"
    ]
    run = ask(
        turns,
        frame(),
        plain=lambda prompt: '{"who": "⟨email:7⟩"}' if "JSON" in prompt else "It is ⟨email:8⟩.",
    )
    assert run.value == [{"who": EMAILS[6]}, f"It is {EMAILS[7]}."]


def test_the_code_behind_an_answer_runs_on_the_values(ask):
    turns = [
        "first = people.email[0]\nprint(first)",
        "a = llm_query(f'Who is {first}?')\nb = people[people.email == '⟨email:1⟩'].city.iloc[0]\nFINAL([a, b])",
    ]
    run = ask(turns, frame(), names=("people",), plain=lambda prompt: f"{prompt[7:-1]}, of course")
    assert run.value == [f"{EMAILS[0]}, of course", "Kiel"]
    code = run.code()
    assert code.verdict == "reproduced", code.detail


def test_descriptions_show_types_and_tokens(ask, openai_server):
    data = frame().assign(born=BORN)
    run = ask(["FINAL(1)"], data, hide=[*HIDE, "born"])
    ask(["FINAL(1)"], {"people": data, "rows": data.to_dict("records")[:2]}, hide=[*HIDE, "born"])
    ask(["FINAL(1)"], data.to_dict("records"), hide=[*HIDE, "born"])
    first = seen(openai_server)[0]
    assert "`email`" in first
    assert "⟨email:1⟩ | ⟨name:1⟩ | ⟨salary:1⟩ | ⟨phone:1⟩ | Kiel | ⟨born:1⟩" in first
    assert_nothing_left(openai_server, [*PLANTED, *map(str, BORN)])
    assert run.value == 1


def test_ranges_of_hidden_numbers_are_not_described(ask, openai_server):
    ask(["FINAL(1)"], frame(), names=("people",))
    text = openai_server.received[0].json["messages"][1]["content"]
    line = next(line for line in text.splitlines() if line.startswith("- salary"))
    assert line == "- salary (int64)"


def test_a_question_and_instructions_are_searched_too(openai_server, tmp_path):
    openai_server.script = [block("FINAL(people[people.email == '⟨email:3⟩'].city.iloc[0])")]
    rlm = RLM(
        "test-model", base_url=openai_server.url, api_key="sk-test-0123456789", log_dir=None, cache=False, hide=["email"],
        instructions=f"Ask {EMAILS[4]} if in doubt.",
    )  # fmt: skip
    run = rlm.run(f"Where does {EMAILS[2]} live?", frame(), names=("people",))
    assert run.value == "Kiel"
    assert_nothing_left(openai_server, EMAILS)
    run.close()


def test_hidden_objects_and_an_option_of_one_question(ask, openai_server):
    run = ask(
        ["print(context['mails'], context['n'])\nFINAL(context['mails'])"],
        {"mails": Hidden(EMAILS), "n": 4},
        hide=(),
        limits=None,
    )
    assert run.value == EMAILS
    assert_nothing_left(openai_server, EMAILS)
    openai_server.received.clear()
    run = ask(["print(context)\nFINAL(1)"], frame(), hide=(), names=("people",))
    assert leaks("".join(seen(openai_server)), EMAILS)  # what is not hidden leaves


@pytest.mark.parametrize("prompt", ["small", "frugal", "small_context"])
def test_other_prompts_hide_the_same(ask, openai_server, prompt):
    turns = ["print(people)", "mails = list(people.email)\nprint(mails)", "FINAL(mails)"]
    run = ask(turns, frame(), names=("people",), prompt=prompt)
    assert run.value == EMAILS
    assert_nothing_left(openai_server)


def test_a_follow_up_hides_what_the_run_before_hid(ask, openai_server):
    run = ask(["FINAL(1)"], frame(), names=("people",))
    openai_server.script = [block("print(people, more)"), block("FINAL(list(more.email))")]
    more = pd.DataFrame({"email": ["newcomer@mail.example", EMAILS[1]]})
    again = run.ask("And now?", more, names=("more",)).wait(60)
    assert again.value == ["newcomer@mail.example", EMAILS[1]]
    assert_nothing_left(openai_server, [*PLANTED, "newcomer@mail.example"])
    again.close()


def test_words_of_the_prompts_and_of_python_stay_in_them(ask, openai_server):
    words = [
        "print",
        "context",
        "FINAL",
        "question",
        "answer",
        "Begin",
        "Output",
        "import",
        "pandas",
        "Zorgonia",
    ]
    data = pd.DataFrame({"word": words, "n": range(10)})
    ask(["print(list(context.word))", "FINAL(1)"], data, hide=["word"])
    told = [[m["content"] for m in one.json["messages"]] for one in openai_server.received]
    openai_server.received.clear()
    ask(["print(list(context.word))", "FINAL(1)"], data, hide=["nothing"])
    plain = [[m["content"] for m in one.json["messages"]] for one in openai_server.received]
    assert told[0][0] == plain[0][0]
    assert told[1][2] == plain[1][2]
    assert told[1][3].startswith("Output:\n['print', 'context', 'FINAL'")
    assert "Zorgonia" not in told[1][3]


def test_a_name_that_nothing_has_is_told(ask):
    run = ask(["FINAL(1)"], frame(), hide=["email", "emial"])
    assert any("`emial`" in notice for notice in run.tree.notices)
    assert not any("`email`" in notice for notice in run.tree.notices)


def test_an_exported_page_has_tokens(ask, tmp_path):
    turns = ["x = people.email[0]\nprint(x)", "FINAL(people[people.email == '⟨email:1⟩'])"]
    run = ask(turns, frame(), names=("people",))
    tree, events = exported(run)
    for path in (tmp_path / "run.html", tmp_path / "run.ipynb"):
        export_run(tree, path, events=events if path.suffix == ".html" else ())
        assert leaks(path.read_text()) == []
    assert "email:1" in (tmp_path / "run.ipynb").read_text()


def test_what_is_traced_has_tokens(tmp_path):
    heard = []
    values = HiddenValues([HiddenColumn("email", texts=EMAILS)])
    listen = outside(heard.append, values.hide)
    listen(
        AgentStarted(
            run="r",
            agent="0.1",
            seq=1,
            time=0.0,
            parent="0",
            depth=1,
            question=EMAILS[0],
            model="m",
            name=EMAILS[1],
        )
    )
    assert (heard[0].question, heard[0].name, heard[0].agent) == ("⟨email:1⟩", "⟨email:2⟩", "0.1")


def test_rows_are_mapped_with_tokens(openai_server, tmp_path):
    def answer(request):
        text = request["messages"][-1]["content"]
        assert "⟨email:1⟩" in text
        return json.dumps([{"n": number, "answer": f"⟨email:{number}⟩"} for number in (1, 2)])

    openai_server.script = answer
    rlm = RLM(
        "test-model",
        base_url=openai_server.url,
        api_key="sk-test-0123456789",
        log_dir=None,
        cache=False,
        hide=HIDE,
    )
    out = rlm.map(frame()[:2], "Which mail is it?", write_function=False, confirm=False)
    assert_nothing_left(openai_server)
    assert list(out.answer) == EMAILS[:2]


def test_pictures_are_not_sent(ask):
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    code = f"import base64\na = llm_query('What is it?', images=[base64.b64decode({png!r})])"
    run = ask([code, "FINAL(1)"], frame())
    cell = next(iter(run.tree.agents["0"].turns)).cells[0]
    assert "see=False" in cell.output


def test_a_resumed_run_goes_through_the_record(ask, openai_server, tmp_path):
    turns = {
        "": [
            "print(people.email[0])",
            "x = people[people.email == '⟨email:1⟩']\nFINAL([list(x.email), rlm_query(f'Who is {x.email[0]}?', x)])",
        ],
        "Who is": ["FINAL(context.email[0])"],
    }
    question = f"Where is {EMAILS[0]}?"
    run = ask(turns, frame(), names=("people",), question=question)
    assert run.value == [[EMAILS[0]], EMAILS[0]]
    run.close()
    openai_server.received.clear()
    rlm = RLM(
        "test-model", base_url=openai_server.url, api_key="sk-test-0123456789", log_dir=tmp_path / "logs", hide=HIDE,
        cache=False,
    )  # fmt: skip
    again = rlm.resume(run.log_path, frame()).wait(60)
    assert again.value == run.value
    assert again.question == question
    assert not openai_server.received
    again.close()


def test_errors_name_no_value(ask, openai_server):
    with pytest.raises(RLMError):
        ask(["raise SystemError(people.email[0])"] * 9, frame(), names=("people",)).raise_for_error()
    assert_nothing_left(openai_server)
