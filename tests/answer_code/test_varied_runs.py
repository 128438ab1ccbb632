"""Runs of many kinds of code: the code behind the answer runs by itself in a namespace, and gives the same value."""

import ast
import builtins

import pandas as pd
import pytest
from scripts import cell

from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel

ORDERS = pd.DataFrame({"supplier": ["Ivel", "Calder", "Ivel", "Gannet"], "refund": [5.0, 1.0, 7.5, 9.0]})

VARIED = {
    "a class with state": [
        "class Tally:\n    seen = 0\n    def add(self, x):\n        Tally.seen += 1\n        self.total = getattr(self, 'total', 0) + x\n        return self",
        "t = Tally()\nfor x in orders.refund:\n    t.add(x)\nFINAL([t.total, Tally.seen])",
    ],
    "a dataclass and a subclass": [
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int = 1\nclass B(A):\n    def twice(self):\n        return self.n * 2",
        "FINAL([B(len(orders)).twice(), B().twice()])",
    ],
    "a global": [
        "n = 0\ndef count(x):\n    global n\n    n += x",
        "for x in orders.refund:\n    count(x)\nFINAL(n)",
    ],
    "a deleted name": ["a = [1, 2]\nb = a\ndel a\nb.append(len(orders))", "a = 7\nFINAL([a, b])"],
    "a deleted column": [
        "o = orders.copy()\no['x'] = o.refund * 2\ndel o['refund']",
        "FINAL([list(o.columns), o.x.sum()])",
    ],
    "try and except": [
        "found = []\nfor s in [*orders.supplier, '12']:\n    try:\n        found.append(int(s))\n    except ValueError as e:\n        found.append(len(str(e)))\n    else:\n        found.append(0)\n    finally:\n        found.append(-1)",
        "FINAL(found)",
    ],
    "a loop that mutates": [
        "groups = {}\nfor s, r in zip(orders.supplier, orders.refund):\n    groups.setdefault(s, []).append(r)",
        "for key in groups:\n    groups[key].sort(reverse=True)",
        "FINAL(groups)",
    ],
    "an alias that is changed": ["a = {'x': [1]}\nb = a['x']", "b.append(len(orders))\nprint(b)", "FINAL(a)"],
    "an import in a function": [
        "def root(x):\n    import math\n    from statistics import mean as m\n    return math.sqrt(m(x))",
        "FINAL(root(list(orders.refund)))",
    ],
    "a module's state": [
        "import random\nrandom.seed(4)",
        "x = random.random()\nprint(x)",
        "FINAL([x, random.randint(1, 9)])",
    ],
    "comprehensions": [
        "big = {s: [r for r in orders.refund[orders.supplier == s] if r > 4] for s in set(orders.supplier)}",
        "FINAL(sorted((k, sum(v)) for k, v in big.items() if (m := len(v)) > 0 and m < 9))",
    ],
    "a while loop": [
        "xs = list(orders.refund)\nout = []\nwhile xs:\n    x = xs.pop()\n    if x < 2:\n        continue\n    out.append(x)\n    if len(out) == 2:\n        break\nelse:\n    out.append('end')",
        "FINAL([out, xs])",
    ],
    "a generator": [
        "def pairs(xs):\n    it = iter(xs)\n    for a in it:\n        yield a, next(it, None)\ng = pairs(orders.refund)\nfirst = next(g)",
        "FINAL([first, list(g)])",
    ],
    "unpacking": [
        "(a, *rest), b = [orders.refund.tolist(), 3]\na, b = b, a",
        "rest[0] += a",
        "FINAL([a, b, rest])",
    ],
    "a match": [
        "kinds = []\nfor row in orders.to_dict('records'):\n    match row:\n        case {'supplier': 'Ivel', 'refund': r} if r > 6:\n            kinds.append(r)\n        case {'supplier': str(s)}:\n            kinds.append(s)",
        "FINAL(kinds)",
    ],
    "with and a buffer": [
        "import io, csv\nbuf = io.StringIO()\nwith buf as f:\n    csv.writer(f).writerows(orders.values)\n    text = f.getvalue()",
        "FINAL(text.splitlines())",
    ],
    "a cache": [
        "import functools\n@functools.lru_cache\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)",
        "FINAL([fib(20), fib.cache_info().misses])",
    ],
    "a frame in place": [
        "o = orders.copy()\no.loc[o.refund > 4, 'big'] = 'yes'",
        "o.fillna({'big': 'no'}, inplace=True)",
        "FINAL(o.big.tolist())",
    ],
    "polars": [
        "import polars as pl\ndf = pl.from_pandas(orders)",
        "out = df.group_by('supplier').agg(pl.col('refund').sum()).sort('supplier')",
        "FINAL(out.to_dicts())",
    ],
    "a function with a default": [
        "limit = 4\ndef above(xs, at=limit):\n    return [x for x in xs if x > at]\nlimit = 100",
        "FINAL([above(orders.refund), limit])",
    ],
    "a function defined anew": [
        "def f(x):\n    return x + 1\na = f(1)",
        "def f(x):\n    return x * 10\nFINAL([a, f(2)])",
    ],
    "an object's attribute": [
        "class Box: pass\nbox = Box()\nbox.n = len(orders)",
        "setattr(box, 'm', box.n + 1)\nbox.__dict__['k'] = 3",
        "FINAL([box.n, box.m, box.k])",
    ],
    "augmented in a branch": [
        "total = 0\nif len(orders) > 3:\n    total += 5\nelif len(orders) > 2:\n    total += 7\nfor _ in range(2): total *= 3",
        "FINAL(total)",
    ],
    "Final": ["part = orders[orders.refund > 4]\nprint(len(part))", "Final = part.refund.sum()"],
    "operators as functions": [
        "import operator, heapq\nh = []\nfor x in orders.refund: heapq.heappush(h, -x)",
        "top = [-heapq.heappop(h) for _ in range(2)]",
        "FINAL([top, len(h)])",
    ],
    "a star import": ["from math import *\nx = sqrt(len(orders))", "FINAL([x, floor(pi)])"],
    "numpy in place": [
        "import numpy as np\na = np.zeros(4)\nnp.add.at(a, [0, 0, 2], 1)",
        "np.copyto(a[3:], orders.refund.max())",
        "FINAL(a.tolist())",
    ],
    "a lambda that reads later": ["f = lambda x: x * k\nk = 3", "print(f(2))\nk = 5", "FINAL(f(2))"],
    "a sorted key by a dict": [
        "rank = {'Gannet': 0, 'Ivel': 1}\nrank['Calder'] = 2",
        "FINAL(sorted(orders.supplier, key=rank.get))",
    ],
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("varied")


@pytest.mark.parametrize("name", VARIED)
def test_the_code_of_varied_runs_gives_the_value_by_itself(directory, name):
    model = ScriptedModel([cell("print(len(orders))"), *(cell(code) for code in VARIED[name])])
    run = RLM(model=model, log_dir=directory, cache=False).run(
        "Which?", context=ORDERS.copy(), names=("orders",)
    )
    try:
        assert run.status == "done", run.error
        code = run.code()
        assert code.verdict == "reproduced", f"{code.detail}\n{code}"
        space = {"orders": ORDERS.copy(), "__builtins__": builtins, "__name__": "__main__"}
        *before, last = ast.parse(code.source).body
        exec(compile(ast.Module(before, []), "<cell>", "exec"), space)
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), space)
        assert value == run.value, code.source
    finally:
        run.close()
