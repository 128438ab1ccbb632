"""Where the outputs of runs go that outlive their cell, and how runs get on with `nest_asyncio` and Run All."""

import time

import pytest
from magics_parts import notebook

SET_UP = """
import pathlib
from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel

def code(text):
    return "```repl\\n" + text + "\\n```"

def slow(*cells, delay=0.5):
    return ScriptedModel([code(cell) for cell in cells], delay=delay)

t = [1, 2, 3]
prints = slow("print('of the agent')", "print('more of it')", "FINAL(len(context))")
fails = slow("print('of the agent')", "x", "y", delay=0.3)
"""


def collect(book, requests, until, timeout=90):
    """Read outputs by the cell that they belong to, until something is true of them."""
    found = {request: [] for request in requests}
    end = time.monotonic() + timeout
    while not until(found):
        assert time.monotonic() < end, found
        message = book.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
        kind, content = message["msg_type"], message["content"]
        cell = message["parent_header"].get("msg_id")
        if kind == "status":
            kind = content["execution_state"]
        if kind not in ("busy", "execute_input") and not kind.startswith("comm"):
            found.setdefault(cell, []).append((kind, content))
    return found


def idle(*requests):
    return lambda found: all(any(kind == "idle" for kind, _ in found[request]) for request in requests)


def printed(outputs, stream="stdout"):
    return "".join(
        content["text"] for kind, content in outputs if kind == "stream" and content["name"] == stream
    )


def shown(outputs):
    return "\n".join(
        content["data"].get("text/plain", "")
        for kind, content in outputs
        if kind in ("display_data", "update_display_data", "execute_result")
    )


@pytest.fixture(params=["text", "html", "widget"])
def book(request, tmp_path):
    with notebook(tmp_path, display=request.param) as book:
        book.display = request.param
        assert book.run(SET_UP)[0]["status"] == "ok"
        yield book


@pytest.mark.parametrize("model", ["prints", "fails"])
def test_what_a_background_run_shows_stays_with_its_cell(book, model):
    first = book.send(f"%%rlm t -m {model} -o later --bg --no-cache\nHow many?")
    loop = "import time\nfor i in range(6):\n    print('mine', i)\n    time.sleep(0.5)"
    second = book.send(loop)
    wait = book.send(
        "run = get_ipython().run_line_magic('rlm', 'last')\nrun.wait(60)\nimport asyncio; await asyncio.sleep(1)"
    )
    third = book.send("later" if model == "prints" else "print(run.status)")
    found = collect(book, [first, second, wait, third], idle(first, second, wait, third))
    assert printed(found[second]) == "".join(f"mine {i}\n" for i in range(6))
    assert {kind for kind, _ in found[second]} == {"stream", "idle"}
    assert printed(found[wait]) + printed(found[wait], "stderr") == ""
    if model == "prints":
        assert shown(found[third]) == "3"
    else:
        assert printed(found[third]) == "failed\n"
    told = printed(found[first]) + shown(found[first])
    assert "How many?" in told or book.display == "text"
    assert [
        cell for cell, outputs in found.items() if cell not in (first, second, wait, third) and outputs
    ] == []


def test_what_a_listener_prints_is_not_lost(book):
    first = book.send(
        "run = RLM(model=prints, log_dir=None, cache=False).start('How many?', context=t, on_event=lambda event: print(f'<{event.kind}>'))"
    )
    second = book.send(
        "run.wait(60)\nimport asyncio; await asyncio.sleep(0.5)\nprint('|'.join(f'<{event.kind}>' for event in run.events))"
    )
    found = collect(book, [first, second], idle(first, second))
    everything = printed(found[first]) + printed(found[second])
    *lines, expected = everything.splitlines()
    assert {line for line in lines if line} >= set(expected.split("|"))


APPLY = {
    "plain": "import asyncio",
    "nest_asyncio": "import asyncio, nest_asyncio; nest_asyncio.apply()",
    "nest_asyncio2": "import asyncio, nest_asyncio2; nest_asyncio2.apply()",
}
RUN = "print('run', RLM(model=slow('FINAL(len(context))'), log_dir=None, cache=False).run('How many?', context=t).value)"
AWAIT = RUN.replace("RLM(", "(await RLM(").replace(".run(", ".arun(").replace(").value", ")).value")


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("plain", True),
        *((name, before) for name in ("nest_asyncio", "nest_asyncio2") for before in (True, False)),
    ],
)
def test_run_all_runs_each_cell_once_and_in_order_whatever_was_done_to_the_loop(tmp_path, name, before):
    if name == "nest_asyncio2":
        pytest.importorskip(name)  # ipykernel 7.4 and newer bring it
    with notebook(tmp_path) as book:
        cells = [
            *([APPLY[name]] if before else []),
            f"%load_ext rlm_jupyter\n{SET_UP}\nimport asyncio",
            *([] if before else [APPLY[name]]),
            "%%rlm t -m prints -o out --no-cache\nHow many?",
            "print('next', out)",
            RUN,
            AWAIT,
            "%%rlm t -m fails -o later --bg --no-cache\nHow many?",
            "print('between', out)",
            *(["print('last', asyncio.run(asyncio.sleep(0.2, 'slept')))"] if name != "plain" else []),
            "print('end')",
        ]
        requests = [book.send(cell) for cell in cells]  # all at once, as Run All does
        replies = [book.reply(request, timeout=110)["status"] for request in requests]
        found = collect(book, requests, idle(*requests))
    assert replies == ["ok"] * len(cells)
    texts = [printed(found[request]) for request in requests]
    assert [text for cell, text in zip(cells, texts, strict=True) if cell.startswith("print(")] == [
        "next 3\n", "run 3\n", "run 3\n", "between 3\n", *(["last slept\n"] if name != "plain" else []), "end\n",
    ]  # fmt: skip
    assert not any(printed(found[request], "stderr") for request in requests)
