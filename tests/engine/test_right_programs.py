"""Programs that are right, in the ways in which analysts write them, over data of many kinds: none of them is doubted."""

import contextlib
import io
import json
from collections import Counter

import pandas as pd
import pytest

from rlm_jupyter.engine.agent import first_look
from rlm_jupyter.engine.agent.guidance import Guidance
from rlm_jupyter.engine.reply.parse import Reply
from rlm_jupyter.guest.clean_tables import clean_table, join_tables
from rlm_jupyter.guest.code_table import parse_code
from rlm_jupyter.guest.data_outline import outline_data
from rlm_jupyter.guest.text_lines import find_lines, parse_lines
from rlm_jupyter.values.describe.api import describe

ORDERS = pd.DataFrame(
    {
        "order_id": range(1, 61),
        "date": pd.date_range("2024-11-05", periods=60, freq="5D"),
        "region": ["North", "South", "East"] * 20,
        "customer": [f"C{n % 7}" for n in range(60)],
        "units": [n % 9 + 1 for n in range(60)],
        "price": [10.5 + n for n in range(60)],
        "hours": [n % 5 * 0.7 for n in range(60)],
        "refunded": [n % 4 == 0 for n in range(60)],
        "late": [n % 6 == 0 for n in range(60)],
    }
)
LOG = "\n".join(
    f"[{n:04}] 2025-{n % 3 + 1:02}-{n % 27 + 1:02} user={n % 8} status={('ok', 'failed', 'slow')[n % 3]} ms={n * 7}"
    for n in range(200)
)
ENTRIES = "\n".join(
    f"Date: 2025-{n % 6 + 1:02}-11 || User: {n % 9} || Label: {('praise', 'billing', 'delivery')[(n + n // 5) % 3]}"
    for n in range(240)
)
RECORDS = [
    {"id": n // 2, "year": str(2023 + n % 3), "team": "red" if n % 2 else "blue", "score": n % 11}
    for n in range(90)
]
CODE = {
    f"pkg/m{n}.py": f"import os\n\n\nclass A{n}:\n    def run(self):\n        return os.getcwd()\n\n\ndef top{n}():\n    pass\n"
    for n in range(12)
} | {"pkg/test_x.py": "import json\n\n\ndef test_one():\n    assert json\n"}
MESSAGES = pd.DataFrame(
    {
        "user": [n % 6 for n in range(80)],
        "message": [
            f"I waited {n} days for my order and nobody told me why, please send a refund to account {n * 13}."
            if n % 4
            else f"The bill of week {n} was far too high again, could you have a look at what happened there?"
            for n in range(80)
        ],
    }
)
DATA = {
    "orders": ORDERS,
    "log": LOG,
    "entries": ENTRIES,
    "records": RECORDS,
    "code": CODE,
    "messages": MESSAGES,
}
HELP = {
    "parse_lines": parse_lines,
    "find_lines": find_lines,
    "clean_table": clean_table,
    "join_tables": join_tables,
    "parse_code": parse_code,
    "classify": lambda texts, labels: ["delivery" if "waited" in text else "billing" for text in texts],
    "describe": print,
}

# Data, question, code of each turn, the value.
PROGRAMS = [
    # pandas
    (
        "orders",
        "What is the total price of orders of the region 'North'?",
        ["result = context.loc[context['region'] == 'North', 'price'].sum()"],
    ),
    (
        "orders",
        "What is the total price of orders of the region 'North'?",
        [
            "north = context[context.region == 'North']\nprint(len(north))",
            "result = north['price'].sum()\nprint(result)",
        ],
    ),
    (
        "orders",
        "What is the total price of orders of the region 'North'?",
        ["totals = context.groupby('region')['price'].sum()\nprint(totals)"],
    ),
    (
        "orders",
        "What is the total price of orders of the region 'North'?",
        ["result = context.query(\"region == 'North'\").price.sum()"],
    ),
    (
        "orders",
        "Which region has more than 5 orders with more than 6 units?",
        ["n = context.query('units > 6').groupby('region').size()\nresult = n[n > 5].index.tolist()"],
    ),
    (
        "orders",
        "How many orders took more than 2 hours?",
        ["minutes = context['hours'] * 60\nresult = int((minutes > 120).sum())"],
    ),
    (
        "orders",
        "How many orders took less than 2 hours?",
        [
            "t = pd.to_timedelta(context['hours'], unit='h')\nresult = int((t < pd.Timedelta('2 hours')).sum())"
        ],
    ),
    ("orders", "How many orders were not refunded?", ["result = int((~context['refunded']).sum())"]),
    (
        "orders",
        "How many orders were not refunded?",
        ["kept = context[context.refunded == False]\nprint(kept.shape)", "result = len(kept)\nprint(result)"],
    ),
    (
        "orders",
        "How many orders came no later than 2025-03-01?",
        ["result = int((context.date <= '2025-03-01').sum())"],
    ),
    (
        "orders",
        "Is the mean price of orders that were refunded higher than of those that were not? Answer 'yes' or 'no'.",
        ["m = context.groupby('refunded').price.mean()\nresult = 'yes' if m[True] > m[False] else 'no'"],
    ),
    (
        "orders",
        "Is the mean price higher in 'North' or in 'South'?",
        ["means = context.groupby('region')['price'].mean()\nprint(means)"],
    ),
    (
        "orders",
        "What was the total price of 2025-02?",
        [
            "d = context.assign(month=context['date'].dt.strftime('%Y-%m'))\nresult = d[d['month'] == '2025-02'].price.sum()"
        ],
    ),
    (
        "orders",
        "What was the total price of 2025-02?",
        [
            "context['month'] = context['date'].dt.to_period('M').astype(str)",
            "result = context[context['month'] == '2025-02']['price'].sum()\nprint(result)",
        ],
    ),
    (
        "orders",
        "What was the total price of 2025-02?",
        ["s = context.set_index('date')['price'].sort_index()\nresult = s.loc['2025-02'].sum()"],
    ),
    (
        "orders",
        "Which customer of the region 'East' bought most units?",
        [
            "result = (context.loc[(context['region'] == 'East') & (context['units'] > 0), ['customer', 'units']]\n    .groupby('customer')['units'].sum().sort_values(ascending=False).index[0])"
        ],
    ),
    (
        "orders",
        "Which order of the region 'East' had the highest price?",
        [
            "e = context.sort_values('price', ascending=False)\nresult = e.loc[(e.region == 'East') & (e.price > 0), 'order_id'].iloc[0]"
        ],
    ),
    (
        "orders",
        "The orders are from 2024-11 to 2025-08. Which region sold most units?",
        ["t = context.groupby('region')['units'].sum()\nresult = t.idxmax()"],
    ),
    (
        "orders",
        "Which pairs of orders have prices that sum to 100?",
        [
            "p = list(itertools.combinations(context['price'], 2))\nresult = [pair for pair in p if sum(pair) == 100]"
        ],
    ),
    (
        "orders",
        "Which pairs of customers ordered in the same regions?",
        [
            "g = context.groupby('customer')['region'].agg(set).reset_index()\nresult = [p for p in itertools.combinations(g['customer'], 2)]"
        ],
    ),
    (
        "orders",
        "Which customers have at least 3 orders of 'North' and at least 2 of 'South'?",
        [
            "sub = context[(context['region'] == 'North') | (context['region'] == 'South')]\nvc = sub[['customer', 'region']].value_counts()\nresult = [c for c in context.customer.unique() if vc.get((c, 'North'), 0) >= 3 and vc.get((c, 'South'), 0) >= 2]"
        ],
    ),
    (
        "orders",
        "Which customers have at least 1 order that was refunded?",
        ["result = sorted(set(context[context.refunded].customer))"],
    ),
    (
        "orders",
        "Describe the orders in at most 20 words.",
        ["n = len(context)\nresult = f'{n} orders of three regions'"],
    ),
    # DuckDB and polars
    (
        "orders",
        "Which region has more than 5 orders with more than 6 units?",
        [
            "import duckdb\nresult = duckdb.sql('SELECT region FROM context WHERE units > 6 GROUP BY region HAVING count(*) > 5').df()"
        ],
    ),
    (
        "orders",
        "An order may be in it twice: count it once. What is the total?",
        [
            "import duckdb\nresult = duckdb.sql('SELECT sum(price) FROM (SELECT DISTINCT * FROM context)').fetchall()[0][0]"
        ],
    ),
    (
        "orders",
        "What is the total price of orders of 'North' that were refunded?",
        [
            'import duckdb\nr = duckdb.sql("""select sum(price) from context where region = \'North\' and REFUNDED""")\nresult = r.fetchall()[0][0]'
        ],
    ),
    (
        "orders",
        "What is the mean of 'units' of orders of 'North' since 2025-01-15?",
        [
            "import polars as pl\ndf = pl.from_pandas(context)\nresult = df.filter((pl.col('region') == 'North') & (pl.col('date') >= pl.datetime(2025, 1, 15)))['units'].mean()"
        ],
    ),
    (
        "orders",
        "Which customers ordered more than 8 times?",
        [
            "import polars as pl\ndf = pl.from_pandas(context)\nn = df.group_by('customer').len()\nresult = n.filter(pl.col('len') > 8)['customer'].to_list()"
        ],
    ),
    (
        "orders",
        "How many customers are there, without duplicates?",
        ["import polars as pl\nresult = pl.from_pandas(context)['customer'].n_unique()"],
    ),
    # Plain Python over texts and records
    (
        "log",
        "How many lines have the status 'failed' in 2025-02?",
        [
            "n = 0\nfor line in context.splitlines():\n    if 'status=failed' in line and line[7:14] == '2025-02':\n        n += 1\nresult = n"
        ],
    ),
    (
        "log",
        "Which user has more than 20 lines?",
        [
            "c = Counter(line.split('user=')[1].split()[0] for line in context.splitlines())\nresult = [u for u, k in c.items() if k > 20]"
        ],
    ),
    (
        "log",
        "What is the longest ms of the status 'slow'?",
        ["r = rows.loc[rows['status'] == 'slow']\nresult = int(r['ms'].max())"],
    ),
    (
        "log",
        "How many 'failed' lines took more than 1 second?",
        ["result = int(((rows['status'] == 'failed') & (rows['ms'] > 1000)).sum())"],
    ),
    (
        "log",
        "Are there duplicate lines?",
        ["lines = context.splitlines()\nresult = len(lines) != len({*lines})"],
    ),
    (
        "log",
        "Which lines are duplicates?",
        [
            "c = {}\nfor line in context.splitlines():\n    c[line] = c.get(line, 0) + 1\nresult = [k for k, v in c.items() if v > 1]"
        ],
    ),
    (
        "entries",
        "In which month are there most entries labelled 'delivery'?",
        [
            "s = rows[rows['label'] == 'delivery']\nprint(s.head())",
            "m = s['date'].dt.month.value_counts()\nresult = m.idxmax()\nprint(result)",
        ],
    ),
    (
        "entries",
        "Which label is most common? Give your final answer in the form 'Label: answer', where answer is one of the labels 'praise', 'billing', 'delivery'.",
        ["c = rows['label'].value_counts()\nresult = 'Label: ' + c.index[0]"],
    ),
    (
        "entries",
        "Which users have at least 5 entries labelled 'praise' and at least 3 labelled 'billing'?",
        [
            "t = rows.pivot_table(index='user', columns='label', values='date', aggfunc='count')\nresult = t[(t['praise'] >= 5) & (t['billing'] >= 3)].index.tolist()"
        ],
    ),
    (
        "entries",
        "How many entries of 2025 are there?",
        ["rows['y'] = rows['date'].dt.strftime('%Y')\nresult = int((rows['y'] == '2025').sum())"],
    ),
    (
        "entries",
        "How many pairs of users have at least one entry labelled 'praise' in common months?",
        [
            "g = rows[rows['label'] == 'praise'].groupby('user').size().reset_index()\nresult = len(list(itertools.combinations(g['user'], 2)))"
        ],
    ),
    (
        "records",
        "What is the mean score of 'red' in 2024?",
        [
            "r = [x['score'] for x in context if x['team'] == 'red' and x['year'] == '2024']\nresult = sum(r) / len(r)"
        ],
    ),
    (
        "records",
        "Of the team 'blue', how many records are of 2024?",
        ["df = pd.DataFrame(context)\nresult = len(df[(df['team'] == 'blue') & (df['year'] == '2024')])"],
    ),
    (
        "records",
        "A record may be in it twice: count it once. What is the total score?",
        ["once = {x['id']: x for x in context}\nresult = sum(x['score'] for x in once.values())"],
    ),
    (
        "records",
        "A record may be in it twice: count it once. What is the total score?",
        [
            "seen, total = [], 0\nfor x in context:\n    if x['id'] not in seen:\n        seen.append(x['id'])\n        total += x['score']\nresult = total"
        ],
    ),
    (
        "records",
        "Do not remove duplicates. What is the total score of the teams?",
        ["result = sum(x['score'] for x in context)"],
    ),
    # Source files
    ("code", "How many files are tests?", ["result = sum(1 for name in context if 'test' in name)"]),
    (
        "code",
        "How many files are in the folder 'pkg'?",
        ["result = len([p for p in context if p.startswith('pkg/')])"],
    ),
    (
        "code",
        "Which files import 'json'?",
        [
            "result = []\nfor item in context:\n    if 'import json' in context.get(item):\n        result.append(item)"
        ],
    ),
    (
        "code",
        "How many classes define the method 'run'?",
        [
            "m = rows[(rows['kind'] == 'function') & (rows['level'] == 'class')]\nresult = int((m['name'] == 'run').sum())"
        ],
    ),
    ("code", "How many names contain 'top'?", ["result = int(rows['name'].str.contains('top').sum())"]),
    # Sentences
    (
        "messages",
        "How many messages contain the word 'refund'?",
        ["result = int(context['message'].str.contains('refund').sum())"],
    ),
    (
        "messages",
        "How many messages did each user write?",
        ["n = context.groupby('user')['message'].count()\nresult = n.to_dict()"],
    ),
    (
        "messages",
        "Which messages were sent more than once?",
        [
            "d = context[context['message'].duplicated()]\nresult = d['message'].tolist() if 'message' in d.columns else []"
        ],
    ),
    (
        "messages",
        "Each message is about one of these: billing, delivery. How many are about 'billing'?",
        [
            "rows['label'] = classify(rows['message'], ['billing', 'delivery'])\nprint(rows['label'].value_counts())"
        ],
    ),
    (
        "messages",
        "Each message is about one of these: billing, delivery. How many are about 'billing'?",
        [
            "rows['label'] = classify(rows['message'], ['billing', 'delivery'])",
            "counts = rows['label'].value_counts()\nprint(counts['billing'])",
        ],
    ),
    (
        "messages",
        "How many users wrote messages of at most 80 characters?",
        ["s = context[context['message'].str.len() <= 80]\nresult = s['user'].nunique()"],
    ),
]


def led(kind, question):
    """Returns guidance that has looked at data, and the namespace that code of the agent runs in."""
    data = DATA[kind]
    data = data.copy() if isinstance(data, pd.DataFrame) else data
    about = describe(data)
    outline = first_look.read_outline(json.loads(json.dumps(outline_data(data, question))))
    look = first_look.choose(about, outline, {*first_look.HELPERS, "question"}, ["context"])
    assert look is not None
    guidance = Guidance(question, ["context"])
    guidance.small = True
    guidance.begin(look, mapping=isinstance(data, dict), sub_calls=True)
    import itertools

    space = {
        "context": data,
        "question": question,
        "pd": pd,
        "Counter": Counter,
        "itertools": itertools,
        **HELP,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        exec(look.code, space)
        if "rows" not in space:
            space["rows"] = clean_table(data) if isinstance(data, pd.DataFrame) else None
    return guidance, space


@pytest.mark.parametrize(("kind", "question", "codes"), PROGRAMS)
def test_right_programs_are_neither_refused_nor_doubted(kind, question, codes):
    guidance, space = led(kind, question)
    for code in codes:
        variables = {name: describe(value) for name, value in space.items()}
        assert guidance.refuse(Reply((code,)), variables, "") is None
        assert guidance.with_lines(Reply((code,)), variables)[1] == ""
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, space)
        assert guidance.doubts.of(code) == []
    if "result" in space:
        name = {"result": describe(space["result"])}
        assert guidance.refuse(Reply(("FINAL(result)",)), name, "") is None


def test_there_are_many_of_them_over_all_kinds_of_data():
    assert len(PROGRAMS) >= 50
    assert {kind for kind, _, _ in PROGRAMS} == set(DATA)
