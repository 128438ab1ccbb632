"""Hints at errors of agents' code: what the data is, and a line of code to go on from."""

import pandas as pd
import pytest
from run_parts import asking

from rlm_jupyter.engine.error_hints.failure import Failure, nearest
from rlm_jupyter.engine.error_hints.hints import LONGEST, hint
from rlm_jupyter.events import events as ev
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load
from rlm_jupyter.values.describe.api import describe

LABELS = "\n".join(
    f"Date: 2024-01-{i % 28 + 1:02} || User: {1000 + i} || Text: refund {i}" for i in range(3000)
)
JSON_LINES = "\n".join(f'{{"id": {i}, "label": "a"}}' for i in range(200))
CSV = "supplier,price,month\n" + "\n".join(f"s{i},{i},{i % 12}" for i in range(50))
PROSE = "\n".join(f"The contract names party {i}." for i in range(30))
TABLE = pd.DataFrame({"price": [1.5, 2.0], "supplier": ["a", "b"], "Order ID": [1, 2]})
RECORDS = [{"id": i, "label": "b"} for i in range(20)]
A_LABEL = "such as `Date: 2024-01-01 || User: 1000 || Text: refund 0`"


def told(name, text, value=None, code="", lines=(), **variables):
    about = {"context": value, **variables} if value is not None else variables
    described = {name: describe(value) for name, value in about.items()}
    return hint(Failure(name, text, code, lines or (code,), described, functions=("llm_query", "FINAL")))


NO_TABLE = ("ValueError", "DataFrame constructor not properly called!")
INDICES = ("TypeError", "string indices must be integers, not 'str'")


@pytest.mark.parametrize(
    ("error", "value", "code", "parts"),
    [
        (NO_TABLE, LABELS, "pd.DataFrame(context)", ["a text of 3,000 lines", A_LABEL, "line.split(' || ')"]),
        (
            NO_TABLE,
            JSON_LINES,
            "pd.DataFrame(context)",
            ["[json.loads(line) for line in context.splitlines()"],
        ),
        (NO_TABLE, CSV, "pd.DataFrame(context)", ["pd.read_csv(io.StringIO(context))"]),
        (NO_TABLE, CSV.replace(",", "\t"), "pd.DataFrame(context)", ['sep="\\t"']),
        (NO_TABLE, PROSE, "pd.DataFrame(context)", ["`lines = context.splitlines()`"]),
        (NO_TABLE, '{"a": [1,\n 2]}', "pd.DataFrame(context)", ["`data = json.loads(context)`"]),
        (INDICES, LABELS, "context['User']", ["has no columns or keys", "context.splitlines()"]),
        (
            ("AttributeError", "'str' object has no attribute 'groupby'"),
            LABELS,
            "context.groupby('a')",
            [".groupby"],
        ),
        (
            ("AttributeError", "'DataFrame' object has no attribute 'splitlines'"),
            TABLE,
            "context.splitlines()",
            ["columns `price`, `supplier`, `Order ID`", "context['supplier'].astype(str).str.splitlines"],
        ),
        (
            ("AttributeError", "'DataFrame' object has no attribute 'suplier'"),
            TABLE,
            "context.suplier",
            ["`supplier`"],
        ),
        (
            ("AttributeError", "'DataFrame' object has no attribute 'append'"),
            TABLE,
            "context.append",
            ["pd.concat"],
        ),
        (
            ("AttributeError", "'Series' object has no attribute 'lower'"),
            TABLE,
            "context['a'].lower()",
            ["str.lower"],
        ),
        (
            ("AttributeError", "'list' object has no attribute 'split'"),
            ["a b"],
            "context.split()",
            ["a list of 1 item (str)", "[item.split(...) for item in context]"],
        ),
        (
            ("AttributeError", "'list' object has no attribute 'iterrows'"),
            RECORDS,
            "context.iterrows()",
            ["for item in"],
        ),
        (
            ("AttributeError", "'list' object has no attribute 'get'"),
            RECORDS,
            "context.get('id')",
            ["`id`, `label`"],
        ),
        (
            ("AttributeError", "'dict' object has no attribute 'split'"),
            {"a": "b"},
            "context.split()",
            [".items()"],
        ),
        (("AttributeError", "'NoneType' object has no attribute 'group'"), LABELS, "m.group(1)", ["if m:"]),
        (("AttributeError", "'NoneType' object has no attribute 'x'"), LABELS, "m.x", ["None"]),
        (("AttributeError", "'float' object has no attribute 'lower'"), TABLE, "v.lower()", ["dropna"]),
        (("AttributeError", "'generator' object has no attribute 'sort'"), TABLE, "v.sort()", ["list(...)"]),
        (
            ("AttributeError", "module 'datetime' has no attribute 'now'"),
            TABLE,
            "x",
            ["datetime.datetime.now()"],
        ),
        (
            ("JSONDecodeError", "Extra data: line 2 column 1 (char 24)"),
            JSON_LINES,
            "json.loads(context)",
            ["[json.loads(line) for line in context.splitlines() if line.strip()]"],
        ),
        (
            ("JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
            LABELS,
            "json.loads(context)",
            ["no JSON"],
        ),
        (
            ("KeyError", "'Supplier'"),
            TABLE,
            "context['Supplier']",
            ["no column `Supplier`. Nearest: `supplier`."],
        ),
        (("KeyError", "'order_id'"), TABLE, "context['order_id']", ["Nearest: `Order ID`."]),
        (("KeyError", "'region'"), TABLE, "context['region']", ["It has `price`, `supplier`, `Order ID`."]),
        (("KeyError", "\"['prise'] not in index\""), TABLE, "context[['prise']]", ["Nearest: `price`."]),
        (
            ("KeyError", "\"None of [Index(['prise'], dtype='str')] are in the [columns]\""),
            TABLE,
            "context[['prise']]",
            ["no column `prise`. Nearest: `price`."],
        ),
        (("KeyError", "0"), TABLE, "context[0]", ["context.iloc[0]"]),
        (("KeyError", "'lable'"), RECORDS, "[r['lable'] for r in context]", ["Nearest: `label`."]),
        (("KeyError", "'b'"), LABELS, "counts[user] += 1", ["counts.get(key, 0) + 1"]),
        (("NameError", "name 'df' is not defined"), TABLE, "df.head()", ["a DataFrame", "`df = context`"]),
        (
            ("NameError", "name 'text' is not defined"),
            LABELS,
            "len(text)",
            ["a text of 3,000", "`text = context`"],
        ),
        (("NameError", "name 'result' is not defined"), LABELS, "print(result)", ["Define `result` first"]),
        (("NameError", "name 'query' is not defined"), LABELS, "query('x')", ["`llm_query`"]),
        (
            ("NameError", "name 'search' is not defined"),
            LABELS,
            "search (context)",
            ["no function `search`", "FINAL"],
        ),
        (
            ("NameError", "name 'sns' is not defined"),
            TABLE,
            "sns.barplot(x)",
            ["`import seaborn as sns`", "installed"],
        ),
        (("NameError", "name 'true' is not defined"), LABELS, "x = true", ["`True`"]),
        (("UnboundLocalError", "cannot access local variable 'n' where"), LABELS, "n += 1", ["global n"]),
        (
            ("FileNotFoundError", "[Errno 2] No such file or directory: 'data.csv'"),
            TABLE,
            "pd.read_csv('data.csv')",
            ["no file `data.csv`", "the variable `context`, a DataFrame"],
        ),
        (
            ("FileNotFoundError", "[Errno 2] No such file or directory: 'context.txt'"),
            LABELS,
            "open('context.txt')",
            ["no file `context.txt`", "a text of 3,000 lines", "context.splitlines()"],
        ),
        (
            ("OSError", f"[Errno 36] File name too long: {LABELS[:1900]!r}"),
            LABELS,
            "df = pd.read_csv(context, sep='||')",
            ["the content itself and no file name", "line.split(' || ') for line in context.splitlines()"],
        ),
        (
            ("FileNotFoundError", f"[Errno 2] No such file or directory: {CSV!r}"),
            CSV,
            "df = pd.read_csv(context)",
            ["no file name", "pd.read_csv(io.StringIO(context))"],
        ),
        (
            ("AttributeError", "'tuple' object has no attribute 'price'"),
            TABLE,
            "for r in t.iterrows():",
            ["index, item"],
        ),
        (
            ("TypeError", "tuple indices must be integers or slices, not str"),
            TABLE,
            "t.iterrows()",
            ["pairs"],
        ),
        (
            ("ValueError", "not enough values to unpack (expected 3, got 1)"),
            LABELS,
            "a, b, c = line.split(' || ')",
            ["Date: 2024-01-01 || User: 1000", "if len(parts) == 3:"],
        ),
        (
            ("ValueError", "too many values to unpack (expected 2)"),
            LABELS,
            "a, b = l.split(':')",
            ["len(parts) == 2"],
        ),
        (("IndexError", "list index out of range"), LABELS, "line.split('||')[4]", ["if len(parts) > i:"]),
        (("IndexError", "no such group"), LABELS, "m.group(1)", ["parentheses"]),
        (
            ("IndexError", "single positional indexer is out-of-bounds"),
            TABLE,
            "t.iloc[0]",
            ["nothing matched"],
        ),
        (("ValueError", "max() arg is an empty sequence"), LABELS, "max(x)", ["nothing matched"]),
        (("ZeroDivisionError", "division by zero"), LABELS, "s / n", ["nothing matched"]),
        (
            ("TypeError", "'>' not supported between instances of 'str' and 'int'"),
            TABLE,
            "context[context['a'] > 3]",
            ["pd.to_numeric", "float(value)"],
        ),
        (
            ("TypeError", "unsupported operand type(s) for +: 'int' and 'str'"),
            LABELS,
            "sum(x)",
            ["float(value)"],
        ),
        (("TypeError", "unsupported operand type(s) for +: 'int' and 'NoneType'"), LABELS, "a + b", ["None"]),
        (("TypeError", "unhashable type: 'list'"), RECORDS, "set(x)", ["tuple(item)"]),
        (
            ("TypeError", "'str' object is not callable"),
            LABELS,
            "context('a')",
            ["no function", "context.splitlines()"],
        ),
        (
            ("TypeError", "list indices must be integers or slices, not str"),
            RECORDS,
            "context['id']",
            ["context[0]['id']"],
        ),
        (("TypeError", "'NoneType' object is not subscriptable"), LABELS, "m[1]", ["re.search"]),
        (
            ("TypeError", "'builtin_function_or_method' object is not iterable"),
            LABELS,
            "for x in d.items:",
            ["()"],
        ),
        (
            ("TypeError", "expected string or bytes-like object, got 'list'"),
            LABELS,
            "re.findall('a', x)",
            ["for item in"],
        ),
        (("TypeError", 'can only concatenate str (not "int") to str'), LABELS, "'a' + 1", ["str(number)"]),
        (
            ("ValueError", "could not convert string to float: '$1,200'"),
            LABELS,
            "float(x)",
            ["`$1,200` is not a number"],
        ),
        (("ValueError", "The truth value of a Series is ambiguous. Use a.empty"), TABLE, "if x:", ["&"]),
        (
            ("ModuleNotFoundError", "No module named 'sklearn'"),
            TABLE,
            "import sklearn",
            ["`sklearn` is not installed"],
        ),
        (("ModuleNotFoundError", "No module named 'context'"), TABLE, "import context", ["is a variable"]),
        (
            ("StdinNotImplementedError", "raw_input was called"),
            LABELS,
            "input()",
            ["`input()`", "variable `context`"],
        ),
        (
            ("error", "missing ), unterminated subpattern at position 0"),
            LABELS,
            "re.search('(')",
            ["re.escape"],
        ),
    ],
)
def test_a_hint_says_what_there_is_and_the_way(error, value, code, parts):
    text = told(*error, value, code)
    assert text is not None
    for part in parts:
        assert part in text
    assert len(text) <= LONGEST
    assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ValueError", "something else"),
        ("TypeError", "f() missing 1 required positional argument: 'x'"),
        ("AttributeError", "'Account' object has no attribute 'total'"),
        ("AssertionError", ""),
        ("OSError", "[Errno 28] No space left on device"),
        ("RuntimeError", "name 'df' is not defined"),
        ("FinalRejected", "The answer is no list."),
        ("RLMQueryError", "'str' object has no attribute 'columns'"),
        ("KeyboardInterrupt", ""),
        ("RecursionError", "maximum recursion depth exceeded"),
        ("", ""),
    ],
)
def test_other_errors_get_no_hint(name, text):
    assert told(name, text, LABELS, "x = 1") is None


def test_the_variable_of_the_failing_line_is_named_before_the_data():
    text = told(*INDICES, LABELS, "y = 1", ["row['User']", "load(context)"], row="User: 1000 || Text: a")
    assert text.startswith("`row` is a text `User: 1000 || Text: a`")
    assert "`parts = row.split(' || ')`" in text
    assert told("KeyError", "'prise'", LABELS, "orders['prise']", orders=TABLE).startswith(
        "`orders` has no column"
    )
    hidden = told("TypeError", "'int' object is not callable", LABELS, "len(context)", len=3)
    assert hidden.startswith("`len` is a variable of yours")
    near = told("NameError", "name 'totl' is not defined", LABELS, "print(totl)", total=1, users=[])
    assert near == "There is no variable `totl`. Did you mean `total`?"


def test_nothing_is_said_of_a_model_where_none_may_be_asked():
    failure = Failure("NameError", "name 'query' is not defined", "query('x')", functions=("FINAL",))
    assert "llm_query" not in hint(failure)


def test_a_long_hint_leaves_data_out_before_it_is_cut():
    wide = pd.DataFrame({f"a quite long name of column {i}": [1] for i in range(40)})
    long = "\n".join(f"{'word ' * 40}|| {i}" for i in range(100))
    for value, error in (
        (wide, ("KeyError", "'z'")),
        (long, NO_TABLE),
        (wide, ("NameError", "name 'df' is not defined")),
    ):
        text = told(*error, value, "context['z']")
        assert len(text) <= LONGEST
        assert "context" in text
        assert text.count("`") % 2 == 0


HOSTILE = "`evil`\x1b[31m\u202e <b>x</b> {0} %s\\"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NO_TABLE, "pd.DataFrame(context)"),
        (("KeyError", repr(HOSTILE)), "table['x']"),
        (("FileNotFoundError", f"[Errno 2] No such file or directory: '{HOSTILE}'"), "open('x')"),
        (("ValueError", f"could not convert string to float: '{HOSTILE}'"), "float('x')"),
    ],
)
def test_text_of_data_is_quoted_on_one_line(error, code):
    text = told(*error, "\n".join([HOSTILE] * 9), code, table=pd.DataFrame({HOSTILE: [1]}))
    assert not set("\n\x1b\u202e") & set(text)
    assert text.count("`") % 2 == 0
    assert "`evil`" not in text


@pytest.mark.parametrize(
    "about",
    [
        {},
        {
            "type": 3,
            "summary": [],
            "preview": 5,
            "columns": "abc",
            "items": {},
            "keys": 7,
            "length": "x",
            "lines": "y",
        },
        {"type": "str", "preview": "", "summary": ",,, lines"},
        {"type": "DataFrame", "columns": [1, {"name": 5}, {"dtype": "object"}, None]},
        {"type": "list", "items": ["x"], "item_types": {3: 4}, "length": -1},
        {"type": "list", "items": [{"type": "dict", "summary": 3}]},
    ],
)
def test_descriptions_of_any_shape_are_taken(about):
    for name, text in (NO_TABLE, INDICES, ("KeyError", "'a'"), ("NameError", "name 'df' is not defined")):
        said = hint(Failure(name, text, "context['a']", ("context['a']",), {"context": about, "x": about}))
        assert said
        assert len(said) <= LONGEST
    for kind in ("list", "dict", "DataFrame", "Series"):
        failure = Failure(
            "AttributeError", f"'{kind}' object has no attribute 'split'", "", (), {"context": about}
        )
        assert hint(failure)


def test_nearest_names_ignore_case_and_signs():
    assert nearest("order_id", ["Order ID", "price"]) == ["Order ID"]
    assert nearest("refund", ["total refund 2024", "x"]) == ["total refund 2024"]
    assert nearest("zzz", ["a", "b"]) == []


# ---- in runs


def cells(*codes):
    """A model that runs these cells, and what it was shown after each."""
    seen = []

    def reply(messages):
        turn = sum(message["role"] == "assistant" for message in messages)
        seen.append(messages[-1]["content"])
        return f"```repl\n{codes[turn]}\n```"

    return ScriptedModel(reply), seen


def test_the_hint_ends_the_output_and_the_tree_and_the_log_have_it(tmp_path):
    model, seen = cells("print(len(context))\ncontext.columns", "len(context)", "FINAL('done')")
    with asking(tmp_path) as ask:
        run = ask(None, context=LABELS, model=model)
        assert run.value == "done"
        shown = seen[1].split("\n\n")[0]
        assert shown.startswith(f"Output:\n{len(LABELS)}\n")
        *_, error, last = shown.splitlines()
        assert error == "AttributeError: 'str' object has no attribute 'columns'"
        assert last.startswith(f"Hint: `context` is a text of 3,000 lines {A_LABEL}")
        assert "Hint" not in seen[2]
        assert [event.text for event in run.events if isinstance(event, ev.Notice)] == [last]
        assert load(run.log_path).tree.agents["0"].notices == [last]


def test_hints_know_the_agents_variables_and_what_became_of_the_data(tmp_path):
    model, seen = cells(
        "totals = [1, 2]\nprint(totls)",
        "context = context['price'].tolist()\ncontext.iterrows()",
        "orders['prise']",
        "FINAL('done')",
    )
    with asking(tmp_path) as ask:
        assert ask(None, context=TABLE, names=("orders",), model=model).value == "done"
    assert "Hint: There is no variable `totls`. Did you mean `totals`?" in seen[1]
    assert "Hint: `context` is a list of 2 items, and has no `.iterrows`" in seen[2]
    assert "Hint: `orders` has no column `prise`. Nearest: `price`." in seen[3]


def test_a_failing_block_keeps_its_hint(tmp_path):
    model, seen = cells("1\n```\n\n```repl\ncontext['a']\n```\n\n```repl\n2", "FINAL('done')")
    with asking(tmp_path) as ask:
        assert ask(None, context=PROSE, model=model).value == "done"
    output = seen[1].split("Output of block 2:\n")[1]
    assert "\nHint: `context` is a text of 30 lines" in output.split("\n\n")[0]


@pytest.mark.parametrize(
    "code", ["context['a']", "int(context.splitlines()[0])", "open(context.splitlines()[0])"]
)
def test_no_part_of_a_secret_is_in_a_hint(tmp_path, monkeypatch, code):
    secret = "sk-test-" + "0123456789abcdef" * 5  # longer than what a hint quotes
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    model, seen = cells(code, "FINAL('done')")
    with asking(tmp_path) as ask:
        run = ask(None, context="\n".join([f"{secret} || {i}" for i in range(5)]), model=model)
        assert run.value == "done"
        notices = [event.text for event in run.events if isinstance(event, ev.Notice)]
    assert len(notices) == 1
    assert notices[0] in seen[1]
    assert secret[:12] not in notices[0]


def test_a_function_that_is_not_there_is_answered_by_the_table_that_it_was_to_work_on():
    code = "public = filter_rows(rows, 'supplier', 'a')"
    text = told("NameError", "name 'filter_rows' is not defined", {"orders": 1}, code, rows=TABLE)
    assert "no function `filter_rows`" in text
    assert "`rows` is a DataFrame with the columns `price`, `supplier`" in text
    assert "`rows[rows[column] == value]`" in text
    assert len(text) <= LONGEST


def test_columns_of_groups_that_are_asked_for_without_a_list_are_told_of_the_product():
    text = told(
        "ValueError",
        "Cannot subset columns with a tuple with more than one element. Use a list instead.",
        TABLE,
        "context.groupby('supplier')['price', 'units'].sum()",
    )
    assert "`context['total'] = context['price'] * context['units']`" in text
    assert "`context.groupby('supplier')['total'].sum()`" in text
    assert len(text) <= LONGEST


@pytest.mark.parametrize(
    ("code", "line", "parts"),
    [
        (
            "for row in table:\n    if row['a']:\n        n += 1",
            "    if row['a']:",
            ["`for row in table`", "to_dict('records')"],
        ),
        (
            "n = sum(1 for row in table if row['a'] == 1)",
            "n = sum(1 for row in table if row['a'] == 1)",
            ["`for row in table`"],
        ),
        (
            "for row in table:\n    pass\nx = [row['a'] for row in lines]",
            "x = [row['a'] for row in lines]",
            ["split it first"],
        ),
    ],
)
def test_a_loop_over_a_table_goes_over_the_names_of_its_columns(code, line, parts):
    variables = {
        "table": {"type": "DataFrame", "columns": [{"name": "a"}]},
        "lines": {"type": "list", "length": 3},
    }
    text = hint(Failure("TypeError", "string indices must be integers, not 'str'", code, [line], variables))
    for part in parts:
        assert part in text


def test_values_are_counted_by_comparing():
    text = hint(
        Failure(
            "TypeError", "Series.count() takes 1 positional argument but 2 were given", "x = c.count('a')"
        )
    )
    assert "`(column == value).sum()`" in text
    dates = hint(
        Failure(
            "AttributeError", "Can only use .str accessor with string values, not datetime64", "x = c.str[:4]"
        )
    )
    assert "dt.strftime('%Y-%m')" in dates
