"""The proof of the code behind an answer, and the code as a function of other data."""

import ast
import time
from dataclasses import replace

import pandas as pd
import pytest
from answer_code_runs import NOTES, ORDERS, clean
from run_parts import asking, until
from run_story import Story
from scripts import by_question

from rlm_jupyter import RLM, host_tool
from rlm_jupyter.answer_code.answer_code import AnswerCode, answer_code
from rlm_jupyter.engine.run import answer_proof
from rlm_jupyter.errors import ConfigError, NoAnswerCodeError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load
from rlm_jupyter.views.widget_messages import run_fields


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("proof")) as start:
        yield start


@pytest.fixture(scope="module")
def run(ask):
    cells = [
        "print(orders.head())",
        "part = orders[orders.refund > 4]\nfound = []",
        "found.append(len(part))",
        "rates = part.groupby('supplier').refund.sum() * 1.5",
        "FINAL({'rates': rates, 'found': found})",
    ]
    return ask({"root": cells}, context=ORDERS, names=("orders",))


@pytest.fixture(scope="module")
def run_of_function(ask):
    cells = ["part = orders[orders.refund > 4]\nfound = []\nfound.append(len(part))"]
    cells += ["sum = part.groupby('supplier').refund.sum()", "FINAL([sum.max(), found, sum])"]
    return ask({"root": cells}, context=ORDERS, names=("orders",))


def proved(run, code):
    run._engine.call(answer_proof._prove(run._conductor, code), run, timeout=None)
    return code


def changed(code, change):
    """The same code with other statements of the root agent: those of `answer`, or of a plain cell."""
    cell = code.written.cell
    tree = ast.parse(cell.source)
    functions = [node for node in tree.body if getattr(node, "name", "") == "answer"]
    change(functions[0] if functions else tree)
    *others, value = map(ast.unparse, ast.fix_missing_locations(tree).body)
    return AnswerCode(
        replace(code.written, cell=replace(cell, definitions=(), before=tuple(others), value=value)),
        code.of_characters,
    )


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("form", ["a plain cell", "a function"])
def test_code_that_lacks_a_statement_is_never_reproduced(run, run_of_function, number, form):
    run = run if form == "a plain cell" else run_of_function
    code = run.code(prove=False)
    assert ("def answer(orders):" in code) == (form == "a function")
    assert code.verdict == "not tried"
    wrong = changed(code, lambda answer: answer.body.pop(number))
    assert proved(run, wrong).verdict in ("differs", "failed"), wrong.source
    assert wrong.detail
    assert wrong.reproduced is False


def test_code_that_gives_a_little_more_is_never_reproduced(run):
    code = run.code(prove=False)

    def more(answer):
        for node in ast.walk(answer):
            if isinstance(node, ast.Constant) and node.value == 1.5:
                node.value = 1.5001

    wrong = proved(run, changed(code, more))
    assert wrong.verdict == "differs"
    assert "rates" in wrong.detail


def test_code_cannot_hand_over_a_value_in_the_place_of_its_own(run):
    code = run.code(prove=False)
    cell = replace(code.written.cell, definitions=("FINAL(1)",))
    early = AnswerCode(replace(code.written, cell=cell), code.of_characters)
    assert proved(run, early).verdict != "reproduced"


def test_the_verdict_is_in_the_tree_the_log_and_the_page(run):
    code = run.code()
    assert (code.verdict, code.reproduced) == ("reproduced", True)
    assert run.tree.proof["verdict"] == "reproduced"
    assert run_fields(run.tree)["proof"] == {"verdict": "reproduced", "detail": "", "recorded": 0}
    until(lambda: load(run.log_path).tree.proof is not None)
    record = load(run.log_path)
    assert record.tree.proof == run.tree.proof
    assert run_fields(TreeState())["proof"] is None
    again = record.code()
    assert str(again) == str(code)
    assert (again.verdict, again.detail) == ("not tried", "a log has no data to run it on")


def test_each_statement_leads_to_the_cell_it_was_written_in(run):
    code = run.code(prove=False)
    assert [(step.agent, step.turn, step.lines) for step in code.steps] == [
        ("0", 2, (1, 1)),
        ("0", 2, (2, 2)),
        ("0", 3, (1, 1)),
        ("0", 4, (1, 1)),
        ("0", 5, (1, 1)),
    ]
    assert code.statements == 4


def test_it_is_shown_as_text_with_its_verdict(run):
    shown = repr(run.code())
    assert shown.startswith("# Reproduced: run again, the code gives the run's value.")
    assert "\npart = orders[orders.refund > 4]\n" in shown


def test_the_proof_leaves_no_kernel_behind(run):
    before = {id(kernel) for kernels in run._conductor.pool._kernels.values() for kernel in kernels}
    run.code()
    after = {id(kernel) for kernels in run._conductor.pool._kernels.values() for kernel in kernels}
    assert after == before


def test_a_function_of_other_data(run):
    function = run.function()
    assert "answer(orders)" in repr(function)
    doubled = ORDERS.assign(refund=ORDERS.refund * 2)
    value = function(doubled)
    assert value["found"] == [5]
    assert value["rates"]["North"] == pd.Series([25, 18.5, 40]).sum() * 1.5
    assert function(orders=ORDERS)["found"] == run.value["found"]
    with pytest.raises(TypeError, match="`orders`"):
        function()
    with pytest.raises(TypeError, match="`orders`"):
        function(ORDERS, rows=3)
    with pytest.raises(NoAnswerCodeError, match="failed on this data"):
        function([1, 2, 3])


def test_a_function_never_runs_in_this_process_and_stays_in_the_sandbox(ask, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("mine")
    code = "import os\npid = os.getpid()\ntry:\n    seen = open(path).read()\nexcept OSError as error:\n    seen = type(error).__name__"
    run = ask({"root": [code, "FINAL((seen, pid > 0, pid))"]}, context=str(secret), names=("path",))
    code = run.code()
    assert code.verdict == "differs"  # another process
    outcome = run._engine.call(
        answer_proof.run_code(run._conductor, code, run._conductor.agents["0"].spec.context),
        run,
        timeout=None,
    )
    seen, _, pid = outcome.value.load()
    import os

    assert seen == "PermissionError"
    assert pid not in (os.getpid(), run.value[2])


def test_recorded_answers_refuse_other_data(ask):
    cells = [
        "labels = {name: llm_query(f'Name {name}') for name in sorted(set(orders.supplier))}",
        "FINAL(labels)",
    ]
    model = by_question({"root": cells}, plain=lambda prompt: prompt.upper())
    run = ask({"root": cells}, context=ORDERS, names=("orders",), model=model)
    code = run.code()
    assert (code.verdict, code.recorded) == ("reproduced", 3)
    assert "3 recorded answers" in code.detail
    function = run.function()
    assert function(ORDERS.iloc[:2]) == {
        "North": "NAME NORTH",
        "South": "NAME SOUTH",
    }  # the prompts are the same
    with pytest.raises(NoAnswerCodeError, match="3 recorded answers") as caught:
        function(ORDERS.assign(supplier="West"))
    assert "1 questions" in str(caught.value) or "at least 1" in str(caught.value)


def test_a_prompt_that_is_not_recorded_is_told_also_where_the_code_hides_it(ask):
    cells = [
        "try:\n    label = llm_query(f'Name {word}')\nexcept Exception:\n    label = 'none'",
        "FINAL(label)",
    ]
    run = ask({"root": cells}, context="one", names=("word",))
    function = run.function()
    assert function("one") == "plain answer"
    with pytest.raises(NoAnswerCodeError, match="recorded"):
        function("two")


def test_data_in_prompts_at_the_depth_limit_refuse_other_data(ask):
    cells = ["label = rlm_query('Name it', word)", "FINAL(label)"]
    run = ask({"root": cells}, context="one", names=("word",), limits={"depth": 0})
    assert run.code().verdict == "reproduced"
    with pytest.raises(NoAnswerCodeError, match="Ask anew"):
        run.function()("two")


def test_an_answer_that_the_agent_wrote_itself_is_no_function(ask):
    run = ask({"root": ["print(len(notes))", "FINAL('four')"]}, context=NOTES, names=("notes",))
    code = run.code()
    assert code.verdict == "reproduced"
    assert "wrote the value itself" in code.detail
    with pytest.raises(NoAnswerCodeError, match="wrote the answer itself"):
        run.function()(NOTES)


def test_what_changes_from_run_to_run_differs(ask):
    run = ask(
        {"root": ["import time\nnow = len(notes) + time.time()", "FINAL(now)"]},
        context=NOTES,
        names=("notes",),
    )
    time.sleep(0.01)
    code = run.code()
    assert code.verdict == "differs"
    assert "the value is" in code.detail
    with pytest.raises(NoAnswerCodeError, match="differs"):
        run.function()


def test_code_that_never_ends_is_ended(ask):
    cells = [
        "import os\nwhile os.path.exists('/proc') and not globals().get('stop'):\n    stop = True",
        "FINAL(len(notes))",
    ]
    run = ask({"root": cells}, context=NOTES, names=("notes",), limits={"cell_seconds": 2})
    code = run.code(prove=False)
    endless = changed(code, lambda answer: answer.body.insert(0, ast.parse("while True: pass").body[0]))
    assert proved(run, endless).verdict == "failed"


def test_tools_of_the_notebook_by_their_source(ask):
    @host_tool
    def shout(text):
        """Write a text in capitals."""
        return clean(text).upper()

    run = ask(
        {"root": ["word = shout(notes[:4])", "FINAL(word)"]}, context=NOTES, names=("notes",), tools=[shout]
    )
    code = run.code()
    assert code.verdict == "reproduced", code
    assert "host_tool" not in code
    assert "PREFIX = 's:'" in code
    record = load(run.log_path)
    with pytest.raises(NoAnswerCodeError, match="`shout`"):
        record.code()


def test_there_is_no_code_without_an_answer_or_before_the_end(ask):
    run = ask({"root": ["raise ValueError('no')"]}, limits={"calls": 2})
    with pytest.raises(NoAnswerCodeError, match="gave no answer"):
        run.code()
    going = ask({"root": ["import time\ntime.sleep(30)"]}, wait=False)
    with pytest.raises(ConfigError, match="still runs"):
        going.code()
    going.stop()


def test_lines_of_ipython_in_what_the_answer_rests_on_are_refused(ask):
    run = ask(
        {"root": ["files = !echo one", "FINAL((len(notes), list(files)))"]}, context=NOTES, names=("notes",)
    )
    with pytest.raises(NoAnswerCodeError, match="IPython"):
        run.code()


def test_a_closed_run_has_its_code_and_no_proof(ask):
    run = ask({"root": ["FINAL(len(notes))"]}, context=NOTES, names=("notes",))
    run.close()
    code = run.code()
    assert (code.verdict, code.reproduced) == ("not tried", None)
    assert "closed" in code.detail


def test_the_data_are_those_of_the_question(ask):
    orders = ORDERS.copy()
    run = ask({"root": ["FINAL(float(orders.refund.sum()))"]}, context=orders, names=("orders",))
    orders["refund"] = 0.0
    assert run.code().verdict == "reproduced"
    assert run.function()(orders) == 0.0


def test_names_of_a_log_that_are_none_are_refused(ask):
    run = ask({"root": ["FINAL(len(notes))"]}, context=NOTES, names=("notes",))
    started = run.events[0].model_copy(update={"context_names": ("notes):\n    import os\ndef x(a",)})
    with pytest.raises(NoAnswerCodeError, match="names"):
        answer_code([started, *run.events[1:]])


def told(code):
    """Events of a run with one cell."""
    story = Story()
    story.agent("0", context={"type": "list"})
    story.prompt("0")
    story.reply("0")
    story.tell(ev.CodeStarted, "0", cell=1, turn=1, code=code)
    story.tell(ev.ValueReturned, "0", description={}, bytes=1)
    story.tell(ev.CodeFinished, "0", cell=1, status="ok", output="", seconds=1)
    story.end_agent("0")
    story.end()
    return story.events


@pytest.mark.parametrize(
    "code",
    [
        "\n".join(f"v{i} = [v{i - 1}]" if i else "v0 = []" for i in range(2900)) + "\nFINAL(v2899)",
        "\n".join(f"def f{i}():\n    return f{i + 1}()" for i in range(2900)) + "\nFINAL(f0())",
        "x = []\n" + "x.append(1)\n" * 2900 + "FINAL(x)",
    ],
    ids=["aliases", "calls", "changes"],
)
def test_code_of_many_statements_is_sliced(code):
    assert "def answer(context):" in answer_code(told(code))


@pytest.mark.parametrize(
    "code",
    [
        "x = 1\n" * 4000 + "FINAL(x)",
        "x = " + "[" * 190 + "]" * 190 + "\nFINAL(x)",
        "#" * 1_000_001 + "\nFINAL(1)",
    ],
    ids=["statements", "depth", "characters"],
)
def test_code_that_is_too_much_to_read_is_refused(code):
    with pytest.raises(NoAnswerCodeError):
        answer_code(told(code))


def test_a_follow_up_that_uses_variables_of_the_run_before_says_so(tmp_path):
    rlm = RLM(
        model=ScriptedModel(
            ["```repl\ncount = len(notes)\nFINAL(count)\n```", "```repl\nFINAL(count + 1)\n```"]
        ),
        log_dir=tmp_path,
    )
    with rlm.run("How long?", context=NOTES, names=("notes",)) as run, run.ask("And one more?") as second:
        assert second.value == len(NOTES) + 1
        code = second.code()
        assert code.verdict == "not tried"
        assert run.id in code.detail


def test_functions_of_a_first_look_come_along_as_source(ask):
    lines = "\n".join(f"2024-01-{i:02d} payment completed amount {i}.50" for i in range(1, 29))
    model = ScriptedModel(
        ["```repl\nnumbers = [c for c in rows.columns if rows[c].dtype == float]\nprint(numbers)\n```"]
        + ["```repl\ntotal = float(rows[numbers[0]].sum())\nFINAL(total)\n```"] * 3
    )
    run = ask({}, context=lines, model=model, settings={"prompt": "small"})
    assert run.status == "done", run.error
    code = run.code()
    assert code.verdict == "reproduced", f"{code.detail}\n{code}"
    assert "def parse_lines(" in code
    assert "rlm_jupyter" not in code
