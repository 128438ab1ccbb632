"""Widgets on made-up runs, for a notebook in a browser: any state at once, without agents."""

from __future__ import annotations

import itertools

from hostile_text import PAYLOADS
from run_story import FRAME, StandIn, Story, example

from rlm_jupyter.events import events as ev
from rlm_jupyter.views.main_thread import MainThread
from rlm_jupyter.views.widget import RunWidget

_RUNS = []


def widget(story):
    """Returns a live widget on a story, which may go on."""
    run = StandIn(story)
    _RUNS.append(run)  # a widget does not keep its run
    return RunWidget(run, namespace={}, main=MainThread())


def going_on():
    """A run that still works: a root, a failed and a busy sub-agent, and the tree below that."""
    story = example()
    story = Story("Which supplier explains the rise?", start=story.time)
    story.agent("0", "Which supplier explains the rise?")
    story.turn("0", "I divide.", "a = rlm_query('Profile', context)", "")
    story.agent("0.1", "Profile the refunds", name="profile")
    story.turn("0.1", cost=0.002)
    story.variables("0.1", counts=FRAME, total={"type": "int", "summary": "int 12"})
    story.agent("0.1.1", "Early weeks")
    story.end_agent("0.1.1", value={"type": "str", "summary": "'none'"})
    story.agent("0.2", "Find the date")
    story.turn("0.2", cost=None)
    story.end_agent("0.2", "failed", error="KernelDiedError: its kernel died.\nStart it again.")
    story.agent("0.3", "Read the notes")
    story.prompt("0.3")
    return story


def hostile():
    """Sixty hostile texts, each in every place that shows a text of a model, of data or of an error."""
    story = Story(
        PAYLOADS[0] + " hostile", context={"summary": PAYLOADS[2], "type": PAYLOADS[3], "bytes": 10}
    )
    story.agent("0", PAYLOADS[1])
    packs = itertools.batched(PAYLOADS, 10) if hasattr(itertools, "batched") else _packs(PAYLOADS, 10)
    for pack, texts in enumerate(packs, 1):
        story.agent(f"0.{pack}", f"pack {pack}")
        for at, text in enumerate(texts, 1):
            agent = f"0.{pack}.{at}"
            story.agent(agent, text, name=None if at % 2 else text, model=text[:200])
            story.turn(agent, f"{text}\n\n```repl\n{text}\n```", text, text)
            frame = {
                **FRAME,
                "summary": text[:200],
                "type": text[:80],
                "columns": [{"name": text[:200], "dtype": text[:80], "nulls": 0}],
                "rows": [[text[:200]]],
            }
            story.variables(agent, **{text[:300] or "x": frame})
            story.tell(ev.Notice, agent, text=text[:2000])
            story.end_agent(
                agent, "failed", error=text, value={"type": text[:80], "summary": text, "preview": text}
            )
    story.tell(ev.Notice, text=PAYLOADS[4])
    story.end_agent("0", value={"type": "str", "summary": PAYLOADS[5], "preview": PAYLOADS[5]})
    story.end("failed", error=PAYLOADS[6])
    return story


def _packs(items, size):
    return [items[at : at + size] for at in range(0, len(items), size)]


def wide():
    """A wide batch in the middle of its work: two levels, failures among them."""
    story = Story(
        "What do customers ask for most?",
        context={"summary": "list of 480 reviews, 1.2 MB", "bytes": 1_200_000},
    )
    story.agent("0", "What do customers ask for most?")
    code = 'parts = rlm_query_batched([f"Read pack {n}" for n in range(48)], contexts=packs)'
    story.turn("0", "I cut the reviews into 48 packs and have each read by a sub-agent.", code, "")
    story.variables("0", packs={"type": "list", "summary": "list of 48, 1.2 MB", "length": 48})
    for number in range(1, 49):
        id_ = f"0.{number}"
        story.agent(id_, f"Read pack {number - 1} and count what is asked for", after=0.02)
        story.turn(id_, "I count.", "counts = Counter(context)", "", cost=0.0004 + 0.0001 * (number % 7))
        if number in (9, 31):
            story.end_agent(
                id_, "failed", error="ModelError: the server answered 503 four times. Retry, or go on."
            )
        elif number < 42:
            story.end_agent(id_, value={"type": "dict", "summary": f"dict of {number % 5 + 2}"})
        else:
            story.prompt(id_, turn=2)
    return story


def failure():
    """A run that failed, and what it says of that where it happened and on the way up."""
    story = Story(
        "Which contract ends first?",
        context={"summary": "dict of 12 PDFs' texts, 3.1 MB", "bytes": 3_100_000},
    )
    story.agent("0", "Which contract ends first?")
    story.turn(
        "0",
        "I ask about each part.",
        "ends = [rlm_query(f'When does {name} end?', text) for name, text in context.items()]",
        "",
        cost=0.004,
    )
    story.agent("0.1", "When does Adler 2024 end?")
    story.turn(
        "0.1",
        "I look for dates.",
        "import re\ndates = re.findall(r'[0-9]{4}-[0-9]{2}-[0-9]{2}', context)\ndates[:3]",
        "['2024-03-01', '2027-02-28']",
        cost=0.002,
    )
    story.end_agent("0.1", value={"type": "str", "summary": "'2027-02-28'", "preview": "2027-02-28"})
    story.agent("0.2", "When does Birke 2023 end?")
    story.prompt("0.2")
    story.reply("0.2", "I read it whole.", cost=0.002)
    code = "tables = [parse(page) for page in context.split('\\f')]"
    story.cell(
        "0.2", code, "", status="died", error="KernelDiedError: the kernel used more than 2 GB and was ended."
    )
    story.variables("0.2", tables={"type": "list", "summary": "list of 212, 1.9 GB", "length": 212})
    told = "Its kernel was ended: it used more than its 2 GB of memory.\nHand it a smaller part."
    story.end_agent("0.2", "failed", error=told)
    story.end_agent(
        "0",
        "failed",
        error="Sub-agent `0.2` gave no answer: its kernel was ended at 2 GB of memory. Its parent's variables can still be pulled.",
    )
    story.end(
        "failed",
        error="Sub-agent `0.2` gave no answer: its kernel was ended at 2 GB of memory. Its parent's variables can still be pulled.",
        error_type="AgentFailedError",
    )
    return story


def shown(story):
    """Show a run that has ended as a cell with a question does: the live widget, and the static tree that stays."""
    from rlm_jupyter.views.display import show

    show(StandIn(story)).finish()


def hundred():
    """A talkative run of a hundred agents, four turns each, which prints more than anybody reads."""
    story = Story("What do a hundred agents leave?", context={"summary": "list of 100 texts", "bytes": 10**8})
    story.agent("0", "What do a hundred agents leave?")
    story.turn("0", "I ask.", "found = rlm_query_batched(questions, contexts=texts)", "", cost=0.01)
    for number in range(1, 100):
        id_ = f"0.{number}"
        story.agent(id_, f"Read text {number}: " + "which names, dates and sums are in it? " * 4, after=0.01)
        for turn in range(1, 5):
            code = "\n".join(
                f'lines_{n} = [line for line in context if "<{n}>" in line]  # "a & b"' for n in range(40)
            )
            story.turn(
                id_,
                f"Turn {turn}. " + 'I "look" again.\n' * 30,
                code,
                "x < y & z\n" * 400,
                turn=turn,
                cost=0.001,
            )
        story.variables(id_, **{f"lines_{n}": {"type": "list", "summary": f"list of {n}"} for n in range(40)})
        story.end_agent(id_, value={"type": "dict", "summary": f"dict of {number}", "preview": "'x', " * 500})
    story.end_agent("0", value={"type": "list", "summary": "list of 99", "preview": "[…]"})
    story.end(value={"type": "list", "summary": "list of 99", "preview": "[…]"})
    return story


def many(count=10_000):
    """A run of ten thousand agents: ten below each, so that no siblings are folded into one row."""
    story = Story("ten thousand")
    story.agent("0", "ten thousand")
    level, total = ["0"], 1
    while total < count:
        following = []
        for parent in level:
            for number in range(1, 11):
                if total == count:
                    break
                story.agent(f"{parent}.{number}", f"part {total}", model="m-1")
                following.append(f"{parent}.{number}")
                total += 1
        level = following
    return story
