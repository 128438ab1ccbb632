"""What a server was sent by runs with hidden columns, what databases have in such, and cells that print them."""

import json

from planted_values import PLANTED, leaks

from rlm_jupyter.run_setup.database_sources import take_databases
from rlm_jupyter.run_setup.hidden_sources.database_values import DatabaseValues
from rlm_jupyter.security.hidden.hidden_columns import ColumnFinder


def block(code):
    return f"```repl\n{code}\n```"


def seen(server):
    return [json.dumps(one.json, ensure_ascii=False) for one in server.received]


def assert_nothing_left(server, values=PLANTED):
    assert server.received
    for text in seen(server):
        assert leaks(text, values) == []


def values_of(source, *hide, most=1000, name="data", whole=False):
    """Returns the values of the hidden columns of a database."""
    databases = take_databases(source, name, rows=0).databases
    finder = ColumnFinder(hide)
    DatabaseValues(finder, most, lambda _: whole).read(databases.values())
    columns = finder.columns.items()
    return {label: [column.value(place) for place in range(len(column))] for label, column in columns}


SHOWN = """\
import base64, json, html, urllib.parse
print(people.to_string()); print(people); print(people.to_dict('records'))
for value in [*people.email, *people['name'], *people.phone, *map(str, people.salary)]:
    print(value, repr(value), json.dumps(value), f'<{value}>')
"""
ENCODED = """\
for value in [*people.email, *people['name'], *people.phone]:
    if len(value) > 5:
        print(base64.b64encode(value.encode()).decode(), value.encode().hex(), urllib.parse.quote(value))
        print(html.escape(value), repr(value.encode()), json.dumps(json.dumps(value)), value.upper())
        print(value[:len(value) // 2]); print(value[len(value) // 2:])
people.iloc[0]
"""
