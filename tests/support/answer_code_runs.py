"""Scripted runs whose code is sliced and proved: what agents write, in all the ways that a slice must follow."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from scripts import Raw

ORDERS = pd.DataFrame(
    {
        "supplier": ["North", "South", "North", "East", "South", "North"],
        "refund": [12.5, 3.0, 9.25, 1.0, 4.5, 20.0],
        "day": ["2024-01-03", "2024-01-04", "2024-02-01", "2024-02-07", "2024-03-01", "2024-03-09"],
    }
)
NOTES = "2024-01-03 ERROR disk full\n2024-01-04 ok\n2024-01-05 ERROR no route\n2024-01-06 ERROR disk full\n"


@dataclass
class Case:
    """A run.

    Attributes:
        cells: of the root.
        subs: cells of sub-agents, by question.
        context: the data.
        names: of its variables.
        plain: what a plain completion answers: a text, or a function of the prompt.
        absent: what must not be in the code.
        present: what must be.
        most: the largest share of the code that ran which may be kept.
        options: of `RLM.start`.
    """

    cells: list[str]
    subs: dict[str, list[str]] = field(default_factory=dict)
    context: Any = None
    names: tuple[str, ...] = ()
    plain: Any = "plain answer"
    absent: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    most: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def script(self):
        """Question → cells."""
        return {"root": self.cells, **self.subs}


def orders(*cells, **more):
    """A run on the table."""
    return Case(list(cells), context=ORDERS, names=("orders",), **more)


def clean(text):
    """Write a name in one way."""
    return PREFIX + text.strip().lower()


def each_another(_prompt, count=itertools.count(1)):  # noqa: B008 - it counts over all calls
    """Answer the same prompt in another way each time."""
    return str(next(count))


PREFIX = "s:"

CASES = {
    # ---- forms of FINAL
    "final of an expression": orders("print(orders.head())", "FINAL(float(orders['refund'].sum()))", absent=("head",)),
    "final of a variable": orders("total = float(orders.refund.sum())\nother = 5", "FINAL(total)", absent=("other",)),
    "FINAL_VAR by name": orders("total = float(orders.refund.sum())", 'FINAL_VAR("total")'),
    "FINAL_VAR of a variable": orders("total = float(orders.refund.sum())", "FINAL_VAR(total)"),
    "several values": orders("a = len(orders)\nb = 2", "FINAL(a, b)"),
    "SUBMIT": orders("n = len(orders)", "SUBMIT(rows=n, what='orders')"),
    "answer dict": orders("answer['content'] = len(orders)", "answer['ready'] = True"),
    "FINAL assigned": orders("n = len(orders)\nFINAL = {'n': n}"),
    "prose": orders("total = float(orders.refund.sum())\nprint(total)", Raw("The answer:\n\nFINAL(total)")),
    "text in prose": orders("print(len(orders))", Raw("FINAL(There are six orders.)")),
    "final in a block": orders("n = len(orders)\nif n > 3:\n    FINAL('many')\nelse:\n    FINAL('few')"),
    "final in a function": orders("def finish(x):\n    FINAL(x * 2)\n\nfinish(len(orders))"),
    "final in a loop": orders("for i, row in orders.iterrows():\n    if row.refund > 10:\n        FINAL(row.supplier)\n        break"),
    "final with what follows": orders("n = len(orders)\nFINAL(n)\nn = 0\nprint(n)", absent=("n = 0",)),
    "two finals": orders("FINAL(1)\nFINAL(len(orders))"),
    "no data": Case(["x = 6 * 7", "FINAL(x)"]),
    "the question is the context": Case(["FINAL(context.upper())"]),
    # ---- what is kept and what is not
    "many looks": orders(
        "print(orders.head())\nprint(orders.dtypes)\nprint(orders.describe())",
        "counts = orders.supplier.value_counts()\nprint(counts)",
        "by_day = orders.groupby('day').refund.sum()\nprint(by_day.sort_values())",
        "big = orders[orders.refund > 5]\nprint(big)\nprint(big.supplier.unique())",
        "by = orders.groupby('supplier').refund.sum()\nprint(by)",
        "top = by.idxmax()\nprint(f'{top} leads')",
        "FINAL(top)",
        absent=("head", "value_counts", "by_day", "big", "print"),
        most=0.45,
    ),
    "loop": orders(
        "totals = {}\nfor _, row in orders.iterrows():\n    print('row', row.supplier)\n"
        "    totals[row.supplier] = totals.get(row.supplier, 0) + row.refund",
        "FINAL(totals)",
        absent=("print",),
    ),
    "while": orders("n, left = 0, 100.0\nwhile left > 60:\n    left -= orders.refund.iloc[n]\n    n += 1\nFINAL((n, left))"),
    "mutation in place": orders("found = []\nfound.append(1)\nfound.extend(orders.supplier)\nfound.sort(key=str)", "FINAL(found)"),
    "mutation by alias": orders("a = {'x': []}\nb = a['x']\nb.append(len(orders))", "b.append(2)", "FINAL(a)"),
    "column added": orders("orders['double'] = orders['refund'] * 2", "FINAL(float(orders['double'].sum()))"),
    "column added to a part": orders("part = orders[orders.refund > 4].copy()\npart['x'] = part.refund - 4\nFINAL(part)"),
    "inplace": orders("part = orders.copy()\npart.sort_values('refund', inplace=True)\npart.reset_index(drop=True, inplace=True)", "FINAL(part)"),
    "helper functions": orders(
        "import re\ndef year(day):\n    return int(re.match(r'\\d{4}', day)[0])\ndef month(day):\n    return int(day[5:7])\ndef unused():\n    return 1",
        "months = sorted({month(day) for day in orders.day})",
        "FINAL((months, year(orders.day[0])))",
        absent=("unused",),
    ),
    "a function that mutates its argument": orders("def fill(into, n):\n    for i in range(n):\n        into.append(i)\nrows = []", "fill(rows, len(orders))", "FINAL(rows)"),
    "a function that changes a global": orders("seen = {}\ncount = 0\ndef note(name):\n    global count\n    count += 1\n    seen[name] = count", "for name in orders.supplier:\n    note(name)", "FINAL((seen, count))"),
    "a function that reads a global of later": orders("def rate():\n    return factor * 2", "factor = 10", "FINAL(rate())"),
    "lambda": orders("key = lambda row: -row[1]\npairs = list(zip(orders.supplier, orders.refund))", "FINAL(sorted(pairs, key=key)[:2])"),
    "class": orders("class Tally:\n    def __init__(self):\n        self.n = 0\n    def add(self, x):\n        self.n += x", "tally = Tally()", "for x in orders.refund:\n    tally.add(x)", "FINAL(tally.n)"),
    "shadowed builtin": orders("sum = float(sum(orders.refund))\nlist = [1, 2]\nmax = max(list)", "FINAL((sum, max))"),
    "shadowed data": orders("orders = orders[orders.refund > 4]", "orders = orders.supplier.tolist()", "FINAL(orders)"),
    "context and its name": orders("context['x'] = 1", "FINAL(int(orders['x'].sum()))"),
    "rebound": orders("x = 1\nx = 2", "y = x\nx = len(orders)", "FINAL((x, y))", absent=("x = 1\n",)),
    "deleted": orders("a = [len(orders), 2]\nb = a\ndel b[0]\ndel b", "FINAL(a)"),
    "iterator used up": orders("it = iter(orders.supplier)\nprint(next(it))", "rest = list(it)", "FINAL(rest)"),
    "random with a seed": orders("import random\nrandom.seed(7)\nprint(random.random())", "x = random.random()", "FINAL(x)"),
    "files": Case(["open('a.txt', 'w').write('six')", "text = open('a.txt').read()", "FINAL(text)"]),
    "star import": Case(["from math import *", "FINAL(floor(pi * 100))"]),
    "forgotten import": orders("days = pd.to_datetime(orders.day)\nprint(json.dumps([1]))", "FINAL(Counter(days.dt.month.tolist()).most_common(1))"),
    "try and with": orders("try:\n    n = int('six')\nexcept ValueError:\n    n = len(orders)\nimport contextlib\nwith contextlib.suppress(KeyError):\n    n += {}['x']", "FINAL(n)"),
    "comprehension and walrus": orders("if (n := len(orders)) > 2:\n    squares = {i: i * i for i in range(n)}", "FINAL(squares)"),
    "match": orders("match len(orders):\n    case 6:\n        size = 'six'\n    case other:\n        size = other\nFINAL(size)"),
    "exec": orders("exec('hidden = len(orders)')\nimport json", "globals()['more'] = hidden + 1", "FINAL(more)"),
    "awaits": orders("import asyncio\nasync def half(x):\n    await asyncio.sleep(0)\n    return x / 2", "got = await asyncio.gather(*[half(x) for x in orders.refund])", "FINAL(got)"),
    "magics left out": orders("%time print(len(orders))\n!ls", "n = len(orders)", "FINAL(n)", absent=("get_ipython", "%")),
    # ---- shorter: values of a name told apart, values used once in their place, stores that nobody reads
    "values of a name told apart": orders("rows = [len(orders)]\nother = rows", "rows = {}\nrows['x'] = 1", "FINAL(other)", absent=("'x'",)),
    "a guess that gave way to another": orders("def find(rows):\n    found = []\n    for row in rows:\n        found.append(row['x'])\n    return found\nresult = find(orders)", "result = sorted(orders.supplier)", "FINAL(result)", absent=("find",)),
    "an alias of an earlier value": orders("rows = [1]\nkept = rows\nrows = [2]", "rows.append(len(orders))\nkept.append(7)", "FINAL((kept, rows))"),
    "a table that was chosen anew": orders("orders = orders[orders.refund > 4].copy()", "orders['x'] = 1", "FINAL(orders)", absent=("deepcopy",)),
    "generator over a later value": orders("least = 4\nbig = (x for x in orders.refund if x > least)\nleast = 10", "FINAL(list(big))"),
    "values used once": orders("counts = orders.supplier.value_counts()\nprint(counts)", "top = counts.idxmax()\nprint(top)", "FINAL(top)", present=("orders.supplier.value_counts().idxmax()\n",), most=0.9),
    "a name used again and again": orders("rows = orders[orders.refund > 4]\nrows = rows.sort_values('refund')\nrows = rows.head(2)", "FINAL(rows)", present=("orders[orders.refund > 4].sort_values('refund').head(2)\n",), absent=("def answer",)),
    "a walrus in front of a comprehension": orders("few = (all_of := list(orders.supplier))[:2]\nshort = [name.lower() for name in few]", "FINAL([*short, len(all_of)])"),
    "a loop over what is used once": orders("few = orders.head(2)\nfound = {}\nrows = few.iterrows()\nfor _, row in rows:\n    found[row.supplier] = row.refund", "FINAL(found)"),
    "a loop that goes on while": orders("n = 0\nsteps = [1, 2, 3]\nlast = steps[-1]\nwhile n < last:\n    n += 1\n    steps.append(n)", "FINAL((n, steps, len(orders)))"),
    "a choice": orders("if len(orders) > 3:\n    size = 'many'\nelse:\n    size = 'few'\nprint(size)", "FINAL(size)", present=("'many' if len(orders) > 3 else 'few'",), absent=("def answer",)),
    "a choice that binds more": orders("if len(orders) > 3:\n    size = 'many'\n    n = 1\nelse:\n    size = 'few'\n    n = 2", "FINAL((size, n))", present=("else:",)),
    "parts stay apart": orders("top = orders.refund.max()\nn = len(orders)", "FINAL({'top': top, 'n': n})", present=("n = len(orders)", "top = orders.refund.max()")),
    "data by its name": orders("n = len(context)", "FINAL(n + len(context.columns))", absent=("context",)),
    "data in a function of its own": orders("def rows(context):\n    return len(context)", "FINAL(rows(context) + rows(orders))"),
    "order of what changes": orders("seen = [3, len(orders)]\nlast = seen.pop()", "FINAL((len(seen), last))"),
    "order of what a function changes": orders("count = 0\ndef bump():\n    global count\n    count += 1\n    return 5", "x = bump()\ny = count + x", "FINAL((y, len(orders)))"),
    "order of recorded answers": orders("first = llm_query('pick')\nsecond = llm_query('pick')", "FINAL((second, first, len(orders)))", plain=each_another),
    "a number that has a name": orders("least = 5", "FINAL(int((orders.refund > least).sum()))", present=("least = 5",)),
    "a store in a loop": orders("total = 0\nfor x in orders.refund:\n    doubled = x * 2\n    total += x", "FINAL(total)", absent=("doubled",)),
    "a store in a function": orders("def add(rows):\n    first = rows[0]\n    return sum(rows)", "FINAL(add(list(orders.refund)))", absent=("first",)),
    "a store whose error is caught": orders("try:\n    n = int('six')\n    m = 1\nexcept ValueError:\n    m = len(orders)", "FINAL(m)"),
    "a value that is not always needed": orders("first = orders.supplier[0]\nword = first if len(orders) > 3 else 'none'", "FINAL(word)", present=("first =",)),
    "docstring": orders('def half(x):\n    """Halves.\n\n    A plan: first this, then that."""\n    return x / 2', "FINAL([half(x) for x in orders.refund])", absent=("plan",)),
    # ---- cells that failed
    "failed turn between": orders("a = [len(orders)]\na.append(2)\nprint(missing_name)\na.append(99)", "FINAL(a)", absent=("99",)),
    "failed in a loop": orders("found = []\nfor x in [len(orders), 2, 'a', 4]:\n    found.append(x + 0)", "FINAL(found)"),
    "mended": orders("total = orders['refunds'].sum()", "total = float(orders['refund'].sum())", "FINAL(total)", absent=("refunds",)),
    "syntax error": orders("total = (", "total = len(orders)", "FINAL(total)"),
    # ---- sub-agents and completions
    "sub-agent": orders("part = rlm_query('sum', orders[orders.refund > 4])", "FINAL({'sum': part})", subs={"sum": ["print(context.head())", "FINAL(float(context['refund'].sum()))"]}, present=("def sub_agent_1(context)",)),
    "sub-agents alike": orders("parts = [orders.iloc[:3], orders.iloc[3:]]\nrs = rlm_query_batched(['sum of 0', 'sum of 1'], parts)", "FINAL(sum(rs))", subs={f"sum of {i}": ["FINAL(float(context['refund'].sum()))"] for i in range(2)}, absent=("sub_agent_2",)),
    "sub-agents alike but for names": orders("rs = rlm_query_batched(['sum of 0', 'sum of 1'], [orders.iloc[:3], orders.iloc[3:]])", "FINAL(rs)", subs={"sum of 0": ["big = context[context.refund > 4]\nn = len(big)\nm = big.refund.sum()", "FINAL(float(m) + n)"], "sum of 1": ["rows = context[context.refund > 4]\ncount = len(rows)\ntotal = rows.refund.sum()", "FINAL(float(total) + count)"]}, absent=("sub_agent_2",)),
    "sub-agents with names the other way round": orders("rs = rlm_query_batched(['a', 'b'], [orders, orders])", "FINAL(rs)", subs={"a": ["x = len(context)\ny = context.refund.max()\nx += 1\ny += 2", "FINAL([x, y, x - y])"], "b": ["y = len(context)\nx = context.refund.max()\ny += 1\nx += 2", "FINAL([x, y, x - y])"]}, present=("sub_agent_2",)),
    "sub-agents that differ": orders("rs = [rlm_query(f'do {i}', orders) for i in range(2)]", "FINAL(rs)", subs={"do 0": ["FINAL(len(context))"], "do 1": ["FINAL(context.supplier.nunique())"]}),
    "batch that differs": orders("rs = rlm_query_batched(['len', 'first'], contexts=[orders, orders.supplier])", "FINAL(rs)", subs={"len": ["FINAL(len(context))"], "first": ["FINAL(context.iloc[0])"]}),
    "sub-agent that changes its data": orders("n = rlm_query('change', orders)", "FINAL((n, list(orders.columns)))", subs={"change": ["context['new'] = 1", "FINAL(int(context['new'].sum()))"]}),
    "sub-agents of sub-agents": orders("FINAL(rlm_query('halves', orders))", subs={"halves": ["a = rlm_query('count', context.iloc[:2])\nb = rlm_query('count', context.iloc[2:])", "FINAL([a, b])"], "count": ["FINAL(len(context))"]}),
    "sub-agent without data": orders("word = rlm_query('say it')", "FINAL(word)", subs={"say it": ["FINAL(context[:3])"]}),
    "sub-agent with a tool": orders("def weigh(x):\n    return x * 3", "n = rlm_query('weigh', len(orders), tools=[weigh])", "FINAL(n)", subs={"weigh": ["FINAL(weigh(context))"]}),
    "awaited sub-agents": orders("import asyncio\nrs = await asyncio.gather(*[rlm_query('count', orders.iloc[i:]) for i in range(3)])", "FINAL(list(rs))", subs={"count": ["FINAL(len(context))"]}),
    "unused sub-agent": orders("rlm_query('look', orders)\nn = len(orders)", "FINAL(n)", subs={"look": ["FINAL(len(context))"]}, absent=("sub_agent",)),
    "completion": orders("label = llm_query('Name this: North')", "FINAL(label)", plain=lambda prompt: prompt.upper()),
    "completions in a batch": orders("names = sorted(set(orders.supplier))\nlabels = llm_query_batched([f'Name {n}' for n in names])", "FINAL(dict(zip(names, labels)))", plain=lambda prompt: prompt[::-1]),
    "completions in threads": orders("from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(2) as pool:\n    labels = list(pool.map(llm_query, ['a', 'b']))", "FINAL(labels)", plain=lambda prompt: prompt * 2),
    "completion with a schema": orders("found = llm_query('How many?', schema={'type': 'object', 'properties': {'n': {'type': 'integer'}}})", "FINAL(found['n'] + 1)", plain='{"n": 4}'),
    "awaited completion": orders("label = await llm_query('x')", "FINAL(label)"),
    # ---- other data, tools, charts
    "several variables": Case(["both = orders.merge(prices, on='supplier')", "FINAL(float((both.refund * both.price).sum()))"], context={"orders": ORDERS, "prices": pd.DataFrame({"supplier": ["North", "South"], "price": [2.0, 3.0]})}, names=("orders", "prices")),
    "text": Case(["lines = [line for line in notes.splitlines() if 'ERROR' in line]", "print(lines[:2])", "FINAL({'errors': len(lines), 'first': lines[0]})"], context=NOTES, names=("notes",)),
    "tool": orders("names = sorted({clean(name) for name in orders.supplier})", "FINAL(names)", options={"tools": [clean]}, present=("def clean",)),
    "chart": orders("import matplotlib.pyplot as plt\nfig, ax = plt.subplots()", "by = orders.groupby('supplier').refund.sum()\nax.bar(by.index, by.values)", "ax.set_title('Refunds')", "FINAL({'chart': fig, 'n': len(by)})"),
    "values that are hard to compare": orders("import numpy as np\nFINAL({'nan': float('nan'), 'inf': np.inf, 'set': {1, 2}, 'array': np.array([1.0, np.nan]), 'day': pd.Timestamp('2024-01-01'), 'series': orders.refund, 'none': None})"),
    # ---- one name or effect each that a slice could miss
    "nested def closure": orders("def outer():\n    seen=[]\n    def inner(x):\n        seen.append(x)\n        return len(seen)\n    return inner\ncount = outer()","for x in orders.supplier:\n    n = count(x)","FINAL(n)"),
    "method chain mutate": orders("class Box:\n    def __init__(self): self.items=[]\n    def put(self,x):\n        self.items.append(x)\n        return self\nb=Box()","b.put(1).put(2)","FINAL((b.items, len(orders)))"),
    "defaultdict": orders("from collections import defaultdict\nd=defaultdict(list)","for s,r in zip(orders.supplier, orders.refund):\n    d[s].append(r)","FINAL(dict(d))"),
    "list of dict update": orders("rows=[{'n':i} for i in range(len(orders))]","for row in rows:\n    row['sq']=row['n']**2","FINAL(rows)"),
    "nested mutate through list": orders("a=[1]; b=[a]","b[0].append(len(orders))","FINAL(a)"),
    "alias via dict get": orders("d={'x':[]}","d.get('x').append(len(orders))","FINAL(d)"),
    "alias via items": orders("d={'x':[],'y':[]}","for k,v in d.items():\n    v.append(len(orders))","FINAL(d)"),
    "alias via values func": orders("d={'x':[3,1,2]}\ndef fix(v):\n    v.sort()","for v in d.values(): fix(v)","FINAL((d,len(orders)))"),
    "map side effect": orders("out=[]","list(map(out.append, orders.supplier))","FINAL(out)"),
    "aug on alias": orders("a=[1]\nb=a\nb+=[len(orders)]","FINAL(a)"),
    "df loc": orders("df=orders.copy()\ndf.loc[df.refund>5,'big']=True","df.loc[len(df)]=['W',1.0,'2024-01-01',False]","FINAL(df)"),
    "np inplace": orders("import numpy as np\na=np.zeros(6)\nv=a[2:4]\nv[:]=len(orders)\nnp.add(a,1,out=a)","FINAL(a)"),
    "functools partial": orders("from functools import partial\nacc=[]\ndef add(to,x): to.append(x)\nput=partial(add,acc)","for x in orders.refund: put(x)","FINAL(acc)"),
    "dataclass": orders("from dataclasses import dataclass, field\n@dataclass\nclass P:\n    n: int\n    tags: list = field(default_factory=list)","p=P(len(orders))\np.tags.append('x')","FINAL((p.n,p.tags))"),
    "inheritance": orders("class A:\n    def go(self): return 1","class B(A):\n    def go(self): return super().go()+len(orders)","FINAL(B().go())"),
    "global only in function": orders("def f():\n    global made\n    made=len(orders)","f()","FINAL(made)"),
    "generator function": orders("def gen():\n    for x in orders.refund: yield x\ng=gen()\nprint(next(g))","rest=list(g)","FINAL(rest)"),
    "file iter": Case(["with open('t.txt','w') as f:\n    f.write('a\\nb\\nc')","f=open('t.txt')\nprint(f.readline())","rest=f.read()","FINAL(rest)"]),
    "StringIO": orders("import io\nbuf=io.StringIO()","print('hello',len(orders),file=buf)","buf.write('x')","FINAL(buf.getvalue())"),
    "print into file in loop": orders("import io\nbuf=io.StringIO()\nfor x in orders.refund:\n    print(x,file=buf)","FINAL(buf.getvalue())"),
    "redirect": orders("import io,contextlib\nb=io.StringIO()\nwith contextlib.redirect_stdout(b):\n    print('in',len(orders))","FINAL(b.getvalue())"),
    "random numpy": orders("import numpy as np\nrng=np.random.default_rng(3)\nprint(rng.random())","x=rng.random(3)","FINAL((x,len(orders)))"),
    "seed from": orders("from random import seed, random\nseed(3)\nprint(random())","x=random()","FINAL((x,len(orders)))"),
    "plt state": orders("import matplotlib.pyplot as plt\nplt.plot(orders.refund)\nplt.title('R')\nfig=plt.gcf()","FINAL(fig)"),
    "df.plot": orders("ax=orders.refund.plot()\nax.set_title('x')","FINAL(ax.figure)"),
    "pd options": orders("pd.set_option('display.precision',1)","text=orders.to_string()","FINAL(text)"),
    "monkeypatch": orders("import math\nmath.tau2=len(orders)","FINAL(math.tau2)"),
    "setattr": orders("class O: pass\no=O()\nsetattr(o,'n',len(orders))","FINAL(o.n)"),
    "environ": orders("import os\nos.environ['MINE']=str(len(orders))","FINAL(os.environ['MINE'])"),
    "conditional import": orders("try:\n    import nothere as js\nexcept ImportError:\n    import json as js","FINAL(js.dumps({'n':len(orders)}))"),
    "import twice differently": orders("import datetime\nd=datetime.date(2024,1,len(orders))","from datetime import datetime\ne=datetime(2024,1,2)","FINAL((d,e))"),
    "builtin overwritten function": orders("def len(x): return 7","FINAL(len(orders))"),
    "docstring multi": orders('def f(x):\n    """Two\n    lines."""\n    return f.__doc__, x',"FINAL(f(len(orders)))"),
    "triple text": orders('t="""a\n  b\n"""+str(len(orders))',"FINAL(t)"),
    "fstring nested": orders("d={'a':len(orders)}\nt=f\"{d['a']:>5}|{'x'!r}\"","FINAL(t)"),
    "backslash": orders("import re\nt=re.sub(r'\\d+','\\n','a1b'+str(len(orders)))","FINAL(t)"),
    "decorator own": orders("calls=[]\ndef logged(f):\n    def w(*a):\n        calls.append(a)\n        return f(*a)\n    return w\n@logged\ndef g(x): return x+1","y=g(len(orders))","FINAL((y,calls))"),
    "decorator that notes": orders("calls=[]\ndef logged(f):\n    def w(*a):\n        calls.append(a)\n        return f(*a)\n    return w\n@logged\ndef g(x): return x+1","y=g(len(orders))","FINAL({'calls': calls})", present=("y = g",)),
    "comprehension closure": orders("fs=[lambda k=k: k*len(orders) for k in range(3)]","FINAL([f() for f in fs])"),
    "locals use": orders("a=len(orders)","x=locals()['a']","FINAL(x)"),
    "eval use": orders("a=len(orders)","x=eval('a*2')","FINAL(x)"),
    "final in try": orders("try:\n    FINAL(orders.nothing)\nexcept AttributeError:\n    FINAL(len(orders))"),
    "final in with": orders("import contextlib\nwith contextlib.nullcontext(len(orders)) as n:\n    FINAL(n)"),
    "final in main": orders("def main():\n    n=len(orders)\n    return FINAL(n)\n\nif __name__=='__main__':\n    main()"),
    "final async": orders("async def main():\n    n=len(orders)\n    FINAL(n)\nawait main()"),
    "final twice cells": orders("FINAL_VAR('nothing_here')","n=len(orders)\nFINAL(n)"),
    "answer whole dict": orders("answer={'content':len(orders),'ready':True}"),
    "context reassigned": orders("context = context.copy()\ncontext['z']=1","FINAL(context)"),
    "hidden sub": orders("def ask_all(df):\n    return [rlm_query('n', df.iloc[i:i+2]) for i in range(0,len(df),2)]","r=ask_all(orders)","FINAL(r)",subs={"n":["x=len(context)\nprint(x)","FINAL(x)"]}),
    "sub schema": orders("a=rlm_query('go', orders, schema=int)","FINAL(a)",subs={"go":["FINAL(len(context))"]}),
    "llm instruction": orders("a=llm_query(orders, instruction='go')","FINAL(a)",subs={"go":["FINAL(len(context))"]}),
    "sub fails caught": orders("try:\n    a=rlm_query('bad', orders)\nexcept RLMQueryError as e:\n    a='failed'","FINAL((a,len(orders)))",subs={"bad":[Raw("no code at all")]}),
    "batch with failed": orders("r=rlm_query_batched(['bad','go'],[orders,orders])\nok=[x for x in r if not isinstance(x, Failed)]","FINAL(ok)",subs={"bad":[Raw("no code at all")],"go":["FINAL(len(context))"]}),
    "llm repeated": orders("a=[llm_query('pick') for _ in range(2)]","FINAL((a,len(orders)))",plain=each_another),
    "async llm gather": orders("import asyncio\nr=await asyncio.gather(*(llm_query(f'n {i}') for i in range(3)))","FINAL(r)",plain=lambda p:p.upper()),
    "typing": orders("from typing import List\ndef f(x: List[int]) -> int:\n    return sum(x)","FINAL(f([1,len(orders)]))"),
    "future": orders("from __future__ import annotations\ndef f(x: Undefined) -> int:\n    return x","FINAL(f(len(orders)))"),
    "unused failing": orders("x = undefined_thing + 1","n=len(orders)","FINAL(n)"),
    "failing after partial": orders("d={}\nfor s,r in zip(orders.supplier,orders.refund):\n    d[s]=r\n    if s=='East': raise ValueError('stop')","FINAL(d)"),
    "failing in function": orders("log=[]\ndef f(x):\n    log.append(x)\n    return 1/(x-2)\nfor i in range(5):\n    f(i)","FINAL((log,len(orders)))"),
    "several vars mutate": Case(["prices['x']=1","context['orders']['y']=2","FINAL((prices.x.sum(), int(orders.y.sum())))"],context={"orders":ORDERS.copy(),"prices":pd.DataFrame({"p":[1]})},names=("orders","prices")),
    "sub same q different code": orders("r=[rlm_query('q', orders.iloc[i:]) for i in range(2)]","FINAL(r)",subs={"q":["if len(context)==6:\n    n=1\nelse:\n    n=2","FINAL(n)"]}),
    "sub mut result": orders("r=rlm_query('a', orders)\nr.append(1)","FINAL(r)",subs={"a":["FINAL([len(context)])"]}),
    "explore much": orders("print(orders.shape)","for c in orders.columns:\n    print(c, orders[c].nunique())","tmp=orders.copy()\ntmp['m']=tmp.day.str[:7]\nprint(tmp.groupby('m').refund.sum())","late=orders[orders.day>'2024-02']\nprint(late)","total=late.refund.sum()\nprint(total)","FINAL(float(total))",most=0.55),
    "class with globals": orders("total=0\nclass T:\n    def add(self,x):\n        global total\n        total+=x","t=T()\nfor x in orders.refund: t.add(x)","FINAL(total)"),
    "with open write read": Case(["import json, pathlib\npathlib.Path('d').mkdir()\npathlib.Path('d/x.json').write_text(json.dumps({'a':1}))","data=json.load(open('d/x.json'))","FINAL(data)"]),
    "subscript call mutate": orders("fs={'push':[].append}\nd=[]\nops={'a':d.append}\nops['a'](len(orders))","FINAL(d)"),
    "query eval": orders("lim=4\ndf=orders.query('refund > @lim')","FINAL(df)"),
    "df.eval assign": orders("df=orders.copy()\ndf.eval('z = refund * 2', inplace=True)","FINAL(df)"),
    "query local only": orders("lim=4","n=len(orders.query('refund > @lim'))","FINAL(n)"),
    "create_task": orders("import asyncio\nt=asyncio.create_task(rlm_query('a', orders))\nr=await t","FINAL(r)",subs={"a":["FINAL(len(context))"]}),
    "async context reassign": orders("orders=orders[orders.refund>4]\nx=await llm_query('hey')","FINAL((len(orders),x))"),
}  # fmt: skip
"""By what they are about."""
