"""How a small model is led: a first look taken for it, messages that end with what is wanted, failures that leave the chat."""

import asyncio
import json

import pandas as pd
import pytest
from openai_server import OpenAIServer
from run_parts import asking
from scripts import cell

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.agent import first_look, small_prompt
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.local.known_servers import forget_servers
from rlm_jupyter.views.agent_page import detail

LINES = "\n".join(
    f"Date: 2026-0{n % 6 + 1}-11 || User: {n % 9} || Label: {'bad' if n % 4 else 'good'}" for n in range(400)
)
QUESTION = "How many entries have the label 'good'?"
COUNT = "result = int((rows['label'] == 'good').sum())\nprint(result)"


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as asking_:

        def ask(replies, question=QUESTION, context=LINES, *, temperature=None, **options):
            settings = {"prompt": "small", "temperature": temperature}
            model = replies if isinstance(replies, ScriptedModel) else ScriptedModel(replies)
            return asking_({}, question, context, model=model, settings=settings, **options), model

        yield ask


def test_the_chat_begins_with_a_look_at_the_data_as_code_and_output(ask):
    run, model = ask([cell(COUNT), cell("FINAL(result)")])
    assert run.raise_for_error().value == 100
    system, first, look, seen = model.requests[0].messages
    assert len(system["content"]) < 1000
    assert first["content"].startswith(f"Question: {QUESTION}")
    assert look["role"] == "assistant"
    assert "rows = parse_lines(context)" in look["content"]
    assert "rows: DataFrame 400 x 3" in seen["content"]
    assert "'bad' 75.0%" in seen["content"]
    assert seen["content"].endswith("then the code that computes `result` from `rows` and prints it.")
    assert run.tree.agents["0"].turns[0].turn == 1
    shown = detail(run.tree, "0")["look"]
    assert shown is not None
    assert "parse_lines(context)" in shown["code"]
    assert "rows: DataFrame 400 x 3" in shown["output"]


def test_after_output_the_block_that_answers_is_shown_with_what_was_printed(ask):
    _, model = ask([cell(COUNT), cell("FINAL(result)")])
    said = model.requests[1].messages[-1]["content"]
    assert said.startswith("Output:\n100\n")
    assert "the block is `FINAL(result)`" in said


@pytest.mark.parametrize(
    ("context", "data", "shown"),
    [
        (pd.DataFrame({"a": range(50)}), "`context`", "DataFrame 50 x 1"),
        ([{"sku": f"S{n}", "price": n} for n in range(50)], "`rows`", "rows: DataFrame 50 x 2"),
        (
            "\n".join(json.dumps({"sku": n, "price": n}) for n in range(50)),
            "`rows`",
            "rows: DataFrame 50 x 2",
        ),
        ("A short text.\nOf two lines.", "`context`", "Of two lines."),
        ("river stone\n" * 5000 + "The secret is 4711.\n", "`context`", "The secret is 4711."),
        ([1, 2, 3], "`context`", "list of 3 items"),
        (
            {"doc 7": "Nothing here.\nThe secret is 4711.", "doc 8": "Other\nlines"},
            "`context`",
            "['doc 7'] The secret is 4711.",
        ),
        (["one\ntwo", "three\nThe secret is 4711."], "`context`", "[1] The secret is 4711."),
        (LINES.splitlines(), "`rows`", "rows: DataFrame 400 x 3"),
        (
            {"a": pd.DataFrame({"x": [1.5, 2.5]}), "b": pd.DataFrame({"y": [7.5]})},
            "`context`",
            "- y (float64)",
        ),
    ],
)
def test_the_look_fits_the_data(ask, context, data, shown):
    run, model = ask(
        [cell("print(type(context))\nresult = 5"), cell("FINAL(result)")], "What is the secret?", context
    )
    assert run.raise_for_error().value == 5
    said = model.requests[0].messages[-1]["content"]
    assert shown in said
    assert f"computes `result` from {data} and prints it." in said or f"that searches {data}." in said


def test_a_question_without_data_has_no_look(ask):
    run, model = ask([cell("result = 6 * 7\nprint(result)"), cell("FINAL(result)")], "What is 6 * 7?", None)
    assert run.raise_for_error().value == 42
    assert len(model.requests[0].messages) == 2
    assert model.requests[0].messages[-1]["content"].endswith("that computes `result` and prints it.")


def test_the_names_of_the_users_variables_are_used(ask):
    frames = {"orders": pd.DataFrame({"a": range(9)}), "refunds": pd.DataFrame({"b": range(9)})}
    run, model = ask(
        [cell("result = len(orders) + len(refunds)\nprint(result)"), cell("FINAL(result)")],
        "How many?",
        frames,
        names=("orders", "refunds"),
    )
    assert run.raise_for_error().value == 18
    assert "describe(orders, refunds)" in model.requests[0].messages[2]["content"]
    assert "from `orders` and `refunds`" in model.requests[0].messages[-1]["content"]


def test_the_lines_of_another_form_are_a_table_of_their_own(ask):
    lines = [f"INFO step {n} fine" for n in range(300)]
    for n in range(6):
        lines[40 * n] = f"ERROR code E{n}42 raised by worker {n}"
    code = "result = list(more['code'])\nprint(result)"
    run, model = ask([cell(code), cell("FINAL(result)")], "Which error codes are there?", "\n".join(lines))
    assert run.raise_for_error().value == [f"E{n}42" for n in range(6)]
    assert "from `more`" in model.requests[0].messages[-1]["content"]


MEMOS = {f"memo {n}": "river stone lamp\n" * 40 for n in range(30)} | {
    "memo 7": "river\nThe Basalt project is led by Zhang.\nstone",
    "memo 9": "lamp\nMs Zhang has a desk in Riga.\nstone",
}


def test_an_answer_that_stands_in_the_lines_of_the_look_is_taken(ask):
    run, model = ask([cell('FINAL("Riga")')], "In which city does the lead of Basalt work?", MEMOS)
    assert run.raise_for_error().value == "Riga"
    said = model.requests[0].messages[-1]["content"]
    assert "['memo 9'] Ms Zhang has a desk in Riga." in said
    assert '`FINAL("...")` with the answer' in said


def test_one_that_stands_nowhere_is_not(ask):
    replies = [cell('FINAL("Oslo")'), cell("result = 'Riga' in context['memo 9']\nprint(result)")]
    run, model = ask([*replies, cell('FINAL("Riga")')], "In which city does the lead of Basalt work?", MEMOS)
    assert run.raise_for_error().value == "Riga"
    assert "`Oslo` stands in no output" in model.requests[1].messages[-1]["content"]
    assert run.tree.agents["0"].cells == 2


def test_of_a_word_that_stands_nowhere_the_nearest_of_the_data_is_named_and_not_an_example_of_the_question(
    ask,
):
    memos = {f"memo {n}": "river stone lamp\n" * 40 for n in range(30)} | {
        "memo 7": "Alarm D-122 was confirmed."
    }
    question = "Which alarm (such as `D-124`) was confirmed?"
    run, model = ask([cell('FINAL("D-123")'), cell('FINAL("D-122")')], question, memos)
    assert run.raise_for_error().value == "D-122"
    assert "`D-122` does: is that it?" in model.requests[1].messages[-1]["content"]


def test_what_has_to_be_counted_is_asked_for_by_code(ask):
    count = cell("result = sum('desk' in text for text in context.values())\nprint(result)")
    run, model = ask([count, cell("FINAL(result)")], "How many memos name a desk?", MEMOS)
    assert run.raise_for_error().value == 1
    assert "FINAL" not in model.requests[0].messages[-1]["content"]


def test_several_answers_are_asked_for_as_a_list(ask):
    run, model = ask([cell('FINAL(["Riga"])')], "In which cities has Zhang a desk? List all of them.", MEMOS)
    assert run.raise_for_error().value == ["Riga"]
    assert 'FINAL(["...", "..."])' in model.requests[0].messages[-1]["content"]


def test_of_source_files_tables_and_unclean_columns_one_table_is_made(ask):
    code = {"a.py": "import re\ndef f(): pass", "b.py": "class A:\n    def g(self): pass"}
    count = cell("result = int((rows['kind'] == 'function').sum())\nprint(result)")
    run, model = ask([count, cell("FINAL(result)")], "How many functions are there?", code)
    assert run.raise_for_error().value == 2
    assert "rows = parse_code(context)" in model.requests[0].messages[2]["content"]
    tables = {
        "orders": pd.DataFrame({"customer_id": [1, 2, 1, 3], "price": ["$1", "$2", "$3", "$4,000"]}),
        "customers": pd.DataFrame({"id": [1, 2, 3], "segment": ["a", "b", "b"]}),
    }
    total = cell("result = rows[rows['segment'] == 'b']['price'].sum()\nprint(result)")
    run, model = ask([total, cell("FINAL(result)")], "What is the total price of segment 'b'?", tables)
    assert run.raise_for_error().value == 4002
    assert "- segment (str)" in model.requests[0].messages[-1]["content"]
    total = cell("result = rows['price'].sum()\nprint(result)")
    run, model = ask([total, cell("FINAL(result)")], "What is the total price?", tables["orders"])
    assert run.raise_for_error().value == 4006
    assert "price (float64)" in model.requests[0].messages[-1]["content"]


def test_code_that_is_doubted_is_to_be_mended_before_it_is_an_answer(ask):
    wrong = cell("result = sum('desk' in text for text in context)\nprint(result + 7)")
    right = cell("result = sum('desk' in text for text in context.values())\nprint(result)")
    run, model = ask([wrong, right, cell("FINAL(result)")], "In how many memos stands 'desk'?", MEMOS)
    assert run.raise_for_error().value == 1
    said = model.requests[1].messages[-1]["content"]
    assert "Note: `for text in context` goes over the names of the texts" in said
    assert "the same code with this mended" in said
    assert "FINAL" not in said.partition("Note:")[2]
    assert any("goes over the names" in notice for notice in run.tree.agents["0"].notices)


def test_a_word_without_quotes_that_was_shown_is_the_answer(ask):
    top = cell("top = rows['label'].value_counts()\nprint(top)")
    run, _ = ask([top, cell("FINAL(bad)")], "Which label is the commonest?")
    assert run.raise_for_error().value == "bad"


def test_a_table_is_no_answer_to_a_question_for_one_thing(ask):
    top = cell("top = rows.groupby('label').size()\nprint(top)")
    run, model = ask([top, cell("FINAL(top)"), cell("FINAL(top.idxmax())")], "Which label is the commonest?")
    assert run.raise_for_error().value == "bad"
    assert "asks for one thing" in model.requests[2].messages[-1]["content"]


def test_sentences_are_judged_by_a_model_that_code_calls(ask):
    def reply(messages):
        said = messages[-1]["content"]
        if "Which of these is the text about" in said:
            return "quality" if "broke" in said else "delivery"
        if "Output:\n3" in said:
            return cell("FINAL(result)")
        assert 'classify(rows["message"]' in said
        return cell(
            'rows["label"] = classify(rows["message"], ["delivery", "quality"])\n'
            "result = int((rows['label'] == 'quality').sum())\nprint(result)"
        )

    messages = [f"The parcel number {n} did not come." for n in range(9)] + [
        f"Lamp {n} broke after a day." for n in range(3)
    ]
    table = pd.DataFrame({"user": range(12), "message": messages})
    run, _ = ask(ScriptedModel(reply), "How many messages are about quality?", table)
    assert run.raise_for_error().value == 3


def test_lines_that_were_shown_and_are_taken_for_run_are_put_before_the_code(ask):
    lines = "\n".join(
        f"Date: 2026-01-{n:02d} || User: {n} || Label: {('praise', 'billing')[n % 2]}" for n in range(1, 29)
    )
    question = "How many lines are about 'praise'?"
    run, model = ask([cell("result = len(selected)\nprint(result)"), cell("FINAL(result)")], question, lines)
    assert run.raise_for_error().value == 14
    said = model.requests[0].messages[-1]["content"]
    assert "selected = rows[rows['label'] == 'praise']" in said
    kept = model.requests[1].messages[-2]["content"]
    assert kept.startswith("```repl\nselected = rows[rows['label'] == 'praise']")


def test_labels_are_made_before_code_that_reads_them_and_helpers_are_not_defined_anew(ask):
    def reply(messages):
        said = messages[-1]["content"]
        if "Which of these is the text about" in said:
            return "quality" if "broke" in said else "delivery"
        if "is a function that you have, so your code was not run" in said:
            return cell("result = int((rows['label'] == 'quality').sum())\nprint(result)")
        return (
            cell("FINAL(result)")
            if "Output:\n3" in said
            else cell("def classify(texts, labels):\n    return 1")
        )

    messages = [f"The parcel number {n} did not come." for n in range(9)]
    messages += [f"Lamp {n} broke after a day." for n in range(3)]
    table = pd.DataFrame({"user": range(12), "message": messages})
    question = "Each is about one of these: delivery or quality. How many are about 'quality'?"
    run, _ = ask(ScriptedModel(reply), question, table)
    assert run.raise_for_error().value == 3


def test_output_of_nothing_is_not_offered_as_the_answer(ask):
    nothing = cell("result = [row for row in context.splitlines() if 'zzz' in row]\nprint(result)")
    run, model = ask([nothing, cell("FINAL(result)"), cell(COUNT), cell("Final(result)")])
    assert run.raise_for_error().value == 100
    assert "FINAL(" not in model.requests[1].messages[-1]["content"]
    assert len(model.requests[2].messages) == 4  # both left the chat
    assert "`[]` is no answer" in model.requests[2].messages[-1]["content"]


def test_code_that_found_nothing_leaves_the_chat_and_a_second_zero_may_be_right(ask):
    first = cell("result = sum('zzz' in line for line in context.splitlines())\nprint(result)")
    second = cell("result = int((rows['label'] == 'zzz').sum())\nprint(result)")
    run, model = ask([first, second, cell("FINAL(result)")], "How many lines are about zzz?")
    assert run.raise_for_error().value == 0
    assert len(model.requests[1].messages) == 4
    said = model.requests[1].messages[-1]["content"]
    assert "printed `0`: nothing was selected" in said
    assert "    result = sum('zzz' in line" in said
    assert "FINAL(" not in said
    assert len(model.requests[2].messages) == 6
    assert "the block is `FINAL(result)`" in model.requests[2].messages[-1]["content"]


def test_what_is_doubted_is_told_with_what_found_nothing(ask):
    wrong = cell("result = [line for line in context if 'desk' in line]\nprint(result)")
    right = cell("result = [name for name, text in context.items() if 'desk' in text]\nprint(result)")
    run, model = ask([wrong, right, cell("FINAL(result)")], "List the memos with a desk.", MEMOS)
    assert run.raise_for_error().value == ["memo 9"]
    said = model.requests[1].messages[-1]["content"]
    assert "printed `[]`" in said
    assert "goes over the names of the texts" in said


def test_output_that_is_made_up_in_a_block_of_its_own_is_neither_run_nor_kept(ask):
    reply = f"{cell(COUNT)}\n\nThe output will be:\n\n```repl\n157\n```"
    run, model = ask([reply, cell("FINAL(result)")])
    assert run.raise_for_error().value == 100
    assert run.tree.agents["0"].cells == 2
    assert "157" not in "".join(message["content"] for message in model.requests[1].messages)


def test_code_that_is_sent_again_after_it_was_told_is_the_answer(ask):
    run, model = ask([cell(COUNT)] * 3)
    assert run.raise_for_error().value == 100
    assert len(model.requests) == 3
    assert any("was taken as its answer" in notice for notice in run.tree.agents["0"].notices)


def test_what_the_agents_code_makes_of_a_helpers_name_stays(ask):
    code = "def describe(x):\n    return 41\nquestion = 1"
    run, _ = ask(
        [cell(code), cell("result = describe(rows) + question\nprint(result)"), cell("FINAL(result)")]
    )
    assert run.raise_for_error().value == 42


def test_data_or_tools_of_a_helpers_name_are_left_alone_and_the_look_is_left_out(ask):
    def describe(text: str) -> str:
        """Describe."""
        return f"mine: {text}"

    run, model = ask(
        [cell("result = describe(context[:4])\nprint(result)"), cell("FINAL(result)")], tools=[describe]
    )
    assert run.raise_for_error().value == "mine: Date"
    assert [m["role"] for m in model.requests[0].messages] == ["system", "user"]


def test_failures_leave_the_chat_and_one_line_stays(ask):
    wrong = cell("result = rows['nope'].sum()\nprint(result)")
    other = cell("print(1)\nresult = rows['nope'].mean()\nprint(result)")
    run, model = ask(
        ["Only words.", wrong, other, wrong, cell(COUNT), cell("FINAL(result)")], temperature=0.0
    )
    assert run.raise_for_error().value == 100
    assert [len(request.messages) for request in model.requests] == [4, 4, 6, 4, 4, 6]
    assert [r.parameters["temperature"] for r in model.requests] == [0.0, 0.7, 0.0, 0.7, 0.9, 0.0]
    fourth = model.requests[3].messages[-1]["content"]
    assert "Your last reply had no code" in fourth
    assert "KeyError: 'nope'" in fourth
    assert fourth.rstrip().endswith("prints it.")
    assert run.tree.agents["0"].cells == 4  # the look is no turn; what failed before was not run again


def test_output_that_was_asked_for_again_is_pointed_at(ask):
    run, model = ask([cell(COUNT), cell(COUNT), cell("FINAL(result)")])
    assert run.raise_for_error().value == 100
    said = model.requests[2].messages[-1]["content"]
    assert (
        "You sent the same code again. Its output stands above. If it is the answer, reply FINAL(result) now."
        in said
    )


def test_data_that_was_typed_anew_is_not_taken_for_the_data(ask):
    run, model = ask(
        [cell("context = 'Label: good'\nprint(context.count('good'))"), cell(COUNT), cell("FINAL(result)")]
    )
    assert run.raise_for_error().value == 100
    assert "typed text in the place of `context`" in model.requests[1].messages[-1]["content"]


def test_an_answer_before_any_code_is_sent_back_and_leaves_the_chat(ask):
    run, model = ask([cell("FINAL(506)"), cell(COUNT), cell("FINAL(result)")])
    assert run.raise_for_error().value == 100
    assert len(model.requests[1].messages) == 4
    assert "FINAL was not accepted" in model.requests[1].messages[-1]["content"]


def test_the_last_turn_is_told_after_all_else(ask):
    run, model = ask([cell("print(rows.shape)"), "words", cell("FINAL(3)")], limits=Limits(calls_per_agent=3))
    assert run.value == 3
    assert (
        model.requests[2]
        .messages[-1]["content"]
        .endswith("call FINAL(...) now, with the best answer you have.")
    )
    assert "This is your last turn" not in model.requests[0].messages[-1]["content"]


def test_a_chat_whose_messages_were_written_anew_is_told_as_it_was_sent(ask):
    run, model = ask(["words", cell("1 / 0"), cell("1 / 0"), cell(COUNT), cell("FINAL(result)")])
    sent = [dict(message) for message in model.requests[-1].messages]
    assert [dict(message) for message in run.messages()[: len(sent)]] == sent


def test_all_of_a_short_text_is_shown_so_that_no_code_need_read_it(ask):
    run, _ = ask([cell("FINAL('two')")], "How many lines?", "one\ntwo")
    assert run.raise_for_error().value == "two"


@pytest.fixture
def served(tmp_path):
    forget_servers()
    with OpenAIServer() as server:

        def ask(replies, name="model-x", models=("model-x",), **options):
            server.models = list(models)
            server.script = list(replies)
            rlm = RLM(
                model=name,
                base_url=server.url,
                api_key="sk-x",
                log_dir=tmp_path,
                cache=False,
                limits=Limits(cost=None),
                **options,
            )
            return rlm.start(QUESTION, LINES).wait(100)

        yield ask
    forget_servers()


@pytest.mark.parametrize(
    ("name", "models"), [("qwen-1.5b", ("qwen-1.5b", "b")), ("qwen", ("qwen2.5-coder-1.5b",))]
)
def test_a_model_that_is_known_to_be_small_is_led_from_the_start(served, name, models):
    with served([cell(COUNT), cell("FINAL(result)")], name, models) as run:
        assert run.raise_for_error().value == 100
        assert run.messages()[0]["content"] == small_prompt.system_prompt(sub_calls=True, instructions=None)


def test_a_model_that_begins_with_prose_is_led_from_then_on(served):
    with served(["The data has labels.", "It has 400 lines.", cell(COUNT), cell("FINAL(result)")]) as run:
        assert run.raise_for_error().value == 100
        assert len(run.messages()) == 7
        assert any("the chat begins anew" in notice for notice in run.tree.agents["0"].notices)


def test_one_reply_without_code_makes_no_small_model(served):
    with served(["The data has labels.", cell("print(len(context))"), cell("FINAL(100)")]) as run:
        assert run.raise_for_error().value == 100
        assert "rlm_query" in run.messages()[0]["content"]


def test_a_model_that_begins_with_code_keeps_the_whole_prompt(served):
    with served([cell("print(len(context))"), "hm", cell("FINAL(100)")]) as run:
        assert run.raise_for_error().value == 100
        assert "rlm_query" in run.messages()[0]["content"]


def test_what_is_set_is_kept(served):
    with served(
        ["hm", cell("print(len(context))"), cell("FINAL(100)")], "qwen-1.5b", prompt="default"
    ) as run:
        assert run.raise_for_error().value == 100
        assert "rlm_query" in run.messages()[0]["content"]


def test_what_shows_a_value_is_found_in_code():
    shown = small_prompt.printed_expression
    assert shown("x = 1\nprint(x)") == "x"
    assert shown("rows['a'].max()") == "rows['a'].max()"
    for other in ("x = 1", "print(f'{x}')", "print('a', x)", "rows.head()", "print(1)", "x +", "", "y" * 200):
        assert shown(other) is None


@pytest.mark.parametrize(
    "told", [None, [1], {"names": [["describe"], 1, None]}, {"names": "describe", "lines": 5}]
)
def test_what_a_kernel_says_of_its_names_is_no_more_than_names(told):
    class Bridge:
        async def request(self, *_, **__):
            return told, []

    kernel = type("Kernel", (), {"bridge": Bridge()})()
    look = first_look.plan_look(kernel, "q", {"type": "str", "length": 9}, ["context"])
    assert asyncio.run(look) is None


def test_a_look_needs_its_names():
    free = ["describe", "parse_lines", "other_lines", "find_lines", "question"]
    text = {"type": "str", "length": 9000, "truncated": True}
    form, nothing = first_look.Outline(lines=1), first_look.Outline()
    assert first_look.choose(text, form, free, ["context"]).data == "`rows`"
    assert first_look.choose(text, form, free, ["context", "rows"]).data == "`context`"
    assert first_look.choose(text, form, free[:1], ["context"]) is None
    assert first_look.choose(text, nothing, free[1:], ["context"]) is None
    assert "find_lines" not in first_look.choose({**text, "length": 10**9}, nothing, free, ["context"]).code
    table = {"type": "DataFrame"}
    assert (
        first_look.choose(table, first_look.Outline(texts="note"), [*free, "clean_table"], ["context"]).texts
        == ""
    )
    assert first_look.choose(table, first_look.Outline(unclean=True), free, ["context"]) is None
    assert first_look.choose(table, first_look.Outline(unclean=True), free, ["context", "rows"]) is not None


@pytest.mark.parametrize("told", [5, "x" * 99, "a\nb", ["a"], None])
def test_a_column_that_a_kernel_names_is_a_short_word_or_none(told):
    assert first_look.read_outline({"texts": told, "code": 1, "lines": "csv"}) == first_look.Outline()


def test_a_list_with_one_misread_name_is_answered_with_the_list_that_stands_in_the_lines(ask):
    memos = {f"memo {n}": "river stone lamp\n" * 40 for n in range(30)}
    for n, code in enumerate(("D-137", "D-122", "B-455")):
        memos[f"memo {n}"] = f"Alarm {code} was confirmed by the night shift."
    question = "Which alarms (such as `Z-123`) were confirmed by the night shift? List their codes."
    told = "FINAL(['D-137', 'D-122', 'B-455'])"
    run, model = ask([cell("FINAL(['D-137', 'D-123', 'B-455'])"), cell(told)], question, memos)
    assert run.raise_for_error().value == ["D-137", "D-122", "B-455"]
    said = model.requests[1].messages[-1]["content"]
    assert "`D-123` stands in no output" in said
    assert f"`{told}`" in said
