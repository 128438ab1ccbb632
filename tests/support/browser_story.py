"""A question in a notebook, told for browsers: real kernels, data and sub-agents; the replies are scripted.

The script waits where a test wants a running tree: for a file in the notebook's directory, made by the test.
"""

REFUNDS = r'''
import asyncio, pathlib, re
import numpy as np, pandas as pd
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.models.base import Price

random = np.random.default_rng(7)
names = ["Adler", "Birke", "Corvus", "Delta Parts", "Eiger", "Falk", "Gamma", "Hansa"]
size = 60_000
orders = pd.DataFrame({
    "order": np.arange(100_000, 100_000 + size),
    "week": random.integers(1, 13, size),
    "supplier": random.choice(names, size),
    "paid": random.gamma(3, 30, size).round(2),
})
rise = 1 + 5 * ((orders.supplier == "Corvus") & (orders.week >= 9))
orders["refund"] = np.where(random.random(size) < 0.03 * rise, orders.paid, 0.0)
notes = np.array(["", "arrived late", "wrong size", "seal broken on arrival", "leaking bottle, asked for the money back"])
orders["note"] = np.where(orders.refund > 0, notes[random.integers(1, 5, size)], "")
orders.loc[(orders.supplier == "Corvus") & (orders.refund > 0), "note"] = "seal broken on arrival"

ROOT = ["""I look at the shape and at the refunds by week first.

```repl
import pandas as pd
by_week = context.groupby("week", as_index=False)["refund"].sum()
print(context.shape)
by_week.tail(5)
```""", """Refunds rise from week 9 on. I ask one sub-agent for each supplier, each with its rows alone.

```repl
suppliers = sorted(context["supplier"].unique())
parts = [context[context["supplier"] == name] for name in suppliers]
found = rlm_query_batched([f"{name}: did refunds rise, and why?" for name in suppliers], contexts=parts)
table = pd.DataFrame([item for item in found if isinstance(item, dict)])
table
```""", """One supplier stands out by far.

```repl
FINAL(table.sort_values("growth", ascending=False).reset_index(drop=True))
```"""]

PART = ["""I compare the weeks before and after the rise.

```repl
late = context["week"] >= 9
share = context.groupby(late)["refund"].apply(lambda paid: (paid > 0).mean())
growth = float(share[True] / share[False])
refunds = context[context["refund"] > 0].reset_index(drop=True)
print(f"growth {growth:.2f}")
```""", """Now the reasons that customers gave.

```repl
reason = llm_query("The most frequent reason? " + ", ".join(refunds["note"].head(40)))
FINAL({"supplier": refunds["supplier"].iloc[0], "growth": round(growth, 2), "refunds": len(refunds), "reason": reason})
```"""]

DEEP = [PART[0], """The rise is large: I have early and late weeks read apart.

```repl
weeks = rlm_query_batched(["Notes before week 9: what do customers say?", "Notes from week 9 on: what do customers say?"],
                          contexts=[refunds[refunds["week"] < 9], refunds[refunds["week"] >= 9]])
FINAL({"supplier": refunds["supplier"].iloc[0], "growth": round(growth, 2), "refunds": len(refunds), "reason": weeks[1]})
```"""]

WEEKS = ["""I count the notes.

```repl
counts = context["note"].value_counts().rename_axis("note").reset_index(name="orders")
counts.head()
```""", """```repl
FINAL(counts["note"].iloc[0])
```"""]

def question_of(messages):
    found = [re.search(r"\AQuestion:\n(.*?)\n\n(?:The data|There is no data)", m["content"], re.DOTALL) for m in messages]
    return next((f[1] for f in found if f), None)

async def gate(name):
    while not pathlib.Path(name).exists():
        await asyncio.sleep(0.05)

async def reply(messages):
    question = question_of(messages)
    turn = sum(m["role"] == "assistant" for m in messages)
    if question is None:
        await asyncio.sleep(0.3)
        return "the seal was broken" if "seal broken" in messages[-1]["content"][:60] else "no single reason"
    await asyncio.sleep(0.3 + len(question) % 7 / 10)
    if question.startswith("Which"):
        script = ROOT
    elif "customers say" in question:
        script = WEEKS
        if turn == 1 and "from week" in question: await gate("late")
    else:
        script = DEEP if "Corvus" in question else PART
        if turn == 1 and ("Gamma" in question or "Eiger" in question): await gate("late")
        if turn == 0 and "Hansa" in question: await gate("late")
    return script[min(turn, len(script) - 1)]

script = ScriptedModel(reply, name="scripted", price=Price(1.25, 10.0))
'''

COMMANDS = r"""
import asyncio, pathlib, re
import pandas as pd
from rlm_jupyter.errors import ModelError
from rlm_jupyter.models import ScriptedModel

table = pd.DataFrame({"supplier": ["x", "y", "z"] * 400, "price": range(1200)})
failed = set()

def question_of(messages):
    found = [re.search(r"\AQuestion:\n(.*?)\n\n(?:The data|There is no data)", m["content"], re.DOTALL) for m in messages]
    return next((f[1] for f in found if f), None)

async def gate(name):
    while not pathlib.Path("gate-" + name).exists():
        await asyncio.sleep(0.05)

CELLS = {
    "divide": [
        "sums = context.groupby('supplier', as_index=False)['price'].sum()\n"
        "parts = rlm_query_batched(['quick a', 'endless', 'quick b'], contexts=[context] * 3)",
        "FINAL([bool(len(part)) if part is not False and hasattr(part, '__len__') else False for part in parts])",
    ],
    "quick a": ["first = context.head(2)", "FINAL(first)"],
    "quick b": ["FINAL(context.tail(2))"],
    "endless": ["mine = context.head(3)\nimport time\nwhile True: time.sleep(0.05)"],
    "asks": ["unit = ask_user('Is the price in cents?', options=['cents', 'euros'], default='cents')", "FINAL(unit)"],
    "teach": ["number = len(context) - 1179", "FINAL(number * 2)"],
    "fragile": ["part = rlm_query_batched(['breaks once'], contexts=[context])", "FINAL('went on')"],
    "breaks once": ["found = context.head(4)", "FINAL(found)"],
    "many calls": ["a = 1", "b = 2", "c = 3", "d = 4", "FINAL(a + b + c + d)"],
}

async def reply(messages):
    question = question_of(messages)
    turn = sum(m["role"] == "assistant" for m in messages)
    if question.startswith("quick") and turn == len(CELLS[question]) - 1: await gate("siblings")
    if question == "fragile" and turn == 1: await gate("fragile")
    if question == "many calls" and turn == 1: await gate("calls")
    if question == "breaks once" and question not in failed:
        failed.add(question)
        raise ModelError("The model's server had a bad day: try again.")
    cells = CELLS[question]
    return f"I run this.\n\n```repl\n{cells[min(turn, len(cells) - 1)]}\n```"

script = ScriptedModel(reply)
"""
