"""The code behind the answer as pages are sent it: whole, bounded, by level; asked for by many, run again once."""

import json
import threading

import pandas as pd
import pytest
from answer_code_runs import ORDERS
from run_parts import asking
from run_story import example

from rlm_jupyter.errors import NoAnswerCodeError
from rlm_jupyter.events import events as ev
from rlm_jupyter.export_file import export_run
from rlm_jupyter.records import load
from rlm_jupyter.views import protocol
from rlm_jupyter.views.code_protocol import CodeStep, CodeText
from rlm_jupyter.views.code_view import code_text, kept_code, part_label
from rlm_jupyter.views.saved_page import saved_page

TOKEN, PASSWORD = "tq7Zx0vBn3LmPw5s", "Xk4!vqPz9wRt"
CONNECTION = {"user": "shop", "password": PASSWORD}
CURRENCY = "eur"
SECRETS = (TOKEN, PASSWORD, "kW8vRz2pLq9xTn4m", "ghp_16C7e42F292c6912E7710c838347Ae178B4a")


def priced(n, api_key="kW8vRz2pLq9xTn4m", note="ghp_16C7e42F292c6912E7710c838347Ae178B4a"):
    """A tool with secrets of its own."""
    return f"{n} {CURRENCY} {len(TOKEN) + len(CONNECTION) + len(api_key) + len(note)}"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("views-code")) as start:
        yield start


@pytest.fixture(scope="module")
def run(ask):
    cells = [
        "late = orders[orders.refund > 4]",
        "sums = rlm_query_batched(['sum'] * 6, contexts=[late.iloc[n:] for n in range(6)])\nn = len(late)",
        "FINAL({'n': n, 'sums': sums})",
    ]
    return ask(
        {"root": cells, "sum": ["FINAL(float(context.refund.sum()))"]}, context=ORDERS, names=("orders",)
    )


def saved(path):
    text = path.read_text("utf-8")
    begin = text.index('id="rlm-data">') + len('id="rlm-data">')
    return json.loads(text[begin : text.index("</script>", begin)])


def test_a_page_is_sent_the_text_its_statements_and_the_parts_of_the_answer(run):
    made = code_text(run.code(prove=False))
    assert made.keys() == CodeText.__annotations__.keys()
    assert all(step.keys() == CodeStep.__annotations__.keys() for step in made["steps"])
    lines = made["source"].split("\n")
    known = {lines[first - 1].strip(): step for step in made["steps"] for first, _ in step["places"]}
    late = known["late = orders[orders.refund > 4]"]
    assert (late["flow"], late["filters"]) == ("orders 6 → late 4 rows", ["orders.refund > 4"])
    # Six sub-agents ran the same: three are named.
    same = [step for step in made["steps"] if step["agent"] != "0"]
    assert [(step["agent"], step["alike"]) for step in same] == [("0.1", 3), ("0.2", 0), ("0.3", 0)]
    rests = {label: [made["steps"][at] for at in steps] for label, steps in made["parts"].items()}
    assert {step["agent"] for step in rests["n"]} == {"0"}
    assert {step["agent"] for step in rests["sums"]} == {"0", "0.1", "0.2", "0.3"}


@pytest.mark.parametrize("room", [700, 1_500, 2_500, 64_000])
def test_it_is_bounded_whatever_the_code_is(run, room):
    code = run.code(prove=False)
    made = code_text(code, max_bytes=room + 1_000)
    assert len(json.dumps(made)) <= room + 1_000
    assert str(code).startswith(made["source"])
    assert made["cut"] == len(code) - len(made["source"])
    assert all(at < len(made["steps"]) for steps in made["parts"].values() for at in steps)
    assert bool(made["left_out"]) == (room < 1_000)


@pytest.mark.parametrize(
    ("key", "label"),
    [("a\nb", "a b"), ("x\u202e", "x⟨U+202E⟩"), (7, "7"), (None, "None"), ("y" * 200, "y" * 119 + "…")],
)
def test_a_part_has_the_label_that_it_has_on_the_card(key, label):
    assert part_label(key) == label


def test_many_pages_that_ask_at_once_are_answered_by_one_proof(browse, run):
    browser, started, go = browse(example(), namespace={}), threading.Event(), threading.Event()
    proofs = []

    def code():
        proofs.append(threading.current_thread())
        started.set()
        assert go.wait(60)
        return run.code()

    browser.run.code = code
    browser.click("code")
    assert started.wait(60)
    browser.click("code", request="r2")
    assert browser.got == [], "nothing waits for it on the thread of the messages"
    go.set()
    with browser.arrived:
        assert browser.arrived.wait_for(lambda: len(browser.got) == 2, 120)
    assert {answer["request"] for answer in browser.got} == {"r1", "r2"}
    assert all(
        answer["kind"] == "code" and answer["code"]["verdict"] == "reproduced" for answer in browser.got
    )
    assert browser.got[0].keys() == protocol.CodeMessage.__annotations__.keys()
    assert proofs != [threading.current_thread()]
    assert browser.ask("code")["code"]["verdict"] == "reproduced"
    assert len(proofs) == 1, "what was proved is not run again"


def test_a_cell_is_sent_that_binds_no_variable_of_the_notebook_anew(browse, run):
    namespace = {}
    browser = browse(example(), namespace=namespace)
    browser.run.code = lambda: run.code(prove=False)
    sent = browser.ask("code")["code"]
    code = run.code(prove=False)
    assert sent["cell"] == sent["source"] == str(code)
    (name, *_) = sorted(code._written.cell.binds) or ["late"]
    namespace[name] = "mine"
    sent = browser.ask("code")["code"]
    assert sent["source"] == str(code)
    assert sent["cell"] == code.cell({name})
    space = dict(namespace, orders=ORDERS)
    exec(sent["cell"].rpartition("\n\n")[0], space)
    assert space[name] == "mine"


def test_what_was_not_tried_or_failed_is_made_anew_with_the_next_click(browse, run):
    browser, asked = browse(example(), namespace={}), []

    def code():
        asked.append(1)
        if len(asked) == 1:
            raise NoAnswerCodeError("There is no code behind this answer. Why not.")
        return run.code(prove=False)

    browser.run.code = code
    answer = browser.ask("code")
    assert (answer["kind"], answer["message"]) == ("error", "There is no code behind this answer. Why not.")
    assert browser.ask("code")["code"]["verdict"] == "not tried"
    browser.ask("code")
    assert len(asked) == 3


def test_a_view_of_something_without_code_and_too_many_requests_are_refused(browse):
    browser = browse(example(), namespace={})
    assert "has no code behind its answer" in browser.ask("code")["message"]
    go = threading.Event()
    browser.run.code = lambda: go.wait(60)
    for _ in range(20):
        browser.click("code")
    assert browser.ask("code")["message"] == "The code is being run again: wait for it."
    go.set()


def test_a_saved_page_has_the_code_with_its_verdict_and_without_a_new_proof(run, tmp_path):
    run.code()
    before = len(run.events)
    path = export_run(run.tree, tmp_path / "run.html", code=lambda: run.code(prove=False))
    assert len(run.events) == before
    made = saved(path)["code"]
    assert made["verdict"] == "reproduced"
    assert made == json.loads(json.dumps({**code_text(run.code(prove=False)), "verdict": "reproduced"}))
    record = load(run.log_path)
    assert (
        saved(export_run(record.tree, tmp_path / "log.html", code=record.code))["code"]["steps"]
        == made["steps"]
    )
    static = export_run(run.tree, tmp_path / "static.html", static=True, code=lambda: run.code(prove=False))
    assert "def answer" not in static.read_text("utf-8")


def test_a_proof_of_other_code_is_not_told_of_this_one(run, tmp_path):
    run.code()
    tree = load(run.log_path).tree
    tree.proof["characters"] += 1
    made = saved(export_run(tree, tmp_path / "run.html", code=lambda: run.code(prove=False)))["code"]
    assert (made["verdict"], made["detail"]) == ("not tried", "the proof was of all code that ran")


def test_a_run_without_code_is_saved_without_it(run, tmp_path):
    def none():
        raise NoAnswerCodeError("none")

    assert "code" not in saved(export_run(run.tree, tmp_path / "run.html", code=none))
    assert "code" not in saved(export_run(run.tree, tmp_path / "other.html"))


def test_a_level_without_data_leaves_out_recorded_answers_and_what_differs(ask, run):
    secret = "the patient's name"
    asked = ask(
        {"root": ["label = llm_query('Whose is it?')", "FINAL(label)"]}, context=pd.DataFrame(), model=None
    )
    code = asked.code(prove=False)
    assert code.recorded == 1
    page = saved_page(asked.tree, level="redacted", code=code)
    assert str(code)[-40:-20] not in page
    assert kept_code(code, "all") is code
    assert kept_code(code, "structure") is None
    plain = run.code(prove=False)
    plain.detail = secret
    assert kept_code(plain, "structure") is None
    page = saved_page(run.tree, level="redacted", code=plain)
    assert secret not in page
    assert "late = orders[orders.refund \\u003e 4]" in page
    assert "late = orders" not in saved_page(run.tree, level="structure", code=run.code(prove=False))


def test_secrets_that_a_tool_uses_are_on_no_page_and_in_no_file(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_API_KEY", "kW8vRz2pLq9xTn4m")
    run = ask(
        {"root": ["FINAL({'price': priced(len(context))})"]},
        context=ORDERS,
        tools=[priced],
        names=("orders",),
    )
    code = run.code(prove=False)
    assert TOKEN in code, "the code itself is whole"
    for level in ("all", "redacted"):
        page = saved_page(run.tree, level=level, code=code)
        assert not [secret for secret in (TOKEN, PASSWORD) if secret in page]
        assert "def priced" in page
    made = code_text(code)
    assert not [secret for secret in SECRETS if secret in json.dumps(made)]
    assert "secrets are left out here" in made["detail"]
    assert "'eur'" in made["source"]


def test_text_of_an_agent_cannot_end_the_data_of_a_saved_page(ask, tmp_path):
    evil = "</script><script>alert(1)</script>\\u2028"
    run = ask({"root": [f"note = '{evil}'", "FINAL({'</script>': note})"]}, context=ORDERS, names=("orders",))
    path = export_run(run.tree, tmp_path / "run.html", code=lambda: run.code(prove=False))
    assert path.read_text("utf-8").count("</script>") == 2
    assert "</script>" in saved(path)["code"]["parts"]
    assert isinstance(run.events[-1], ev.Event)
