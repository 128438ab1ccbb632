"""What a server on loopback was sent by runs with hidden columns, and cells that print them in many ways."""

import json

from planted_values import PLANTED, leaks


def block(code):
    return f"```repl\n{code}\n```"


def seen(server):
    return [json.dumps(one.json, ensure_ascii=False) for one in server.received]


def assert_nothing_left(server, values=PLANTED):
    assert server.received
    for text in seen(server):
        assert leaks(text, values) == []


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
