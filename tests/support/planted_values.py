"""Forty values in hidden columns, and the ways in which they may try to leave."""

import base64
import contextlib
import datetime as dt
import html
import json
import urllib.parse

import pandas as pd

EMAILS = [
    "zelda.quist@nordmail.example", "o'hara+news@b-und-b.example", "Kx7_42@post.example", "jürgen.möß@köln.example",
    "a.b@c-d.example", "UPPER.Case@MAIL.example", 'quote"d@odd.example', "back\\slash@odd.example",
    "very.long.address.of.some.person.whose.name.does.not.end@department.of.long.names.example", "99887766@num.example",
]  # fmt: skip
NAMES = [
    "Zebulon Quartermaine", "Ødegård, Bjørn", "Li Wu", "Thandiwe\tNkosi", "María-José Ibáñez", "Xu", "Obadiah",
    "D'Artagnan \"Dede\" Lefèvre", "山田 太郎", "Wolfeschlegelsteinhausenbergerdorff",
]  # fmt: skip
SALARIES = [81234, 40517, 123456, 7391, 1048577, 65538, 39047, 9001, 250013, 58811]
PHONES = [
    "+49 170 5553131", "0170-5554242", "(030) 555 90 17", "+1-202-555-0147", "00441632960961", "4155550133", "555-0188",
    "+33 1 99 00 12 34", "+81 3 5550 1234", "12345",
]  # fmt: skip
BORN = [dt.date(1951 + 3 * number, 1 + number, 7 + 2 * number) for number in range(10)]
PLANTED = [*EMAILS, *NAMES, *map(str, SALARIES), *PHONES]
HIDE = ["email", "name", "sal*", "phone"]


def frame():
    return pd.DataFrame(
        {
            "id": range(10),
            "email": EMAILS,
            "name": NAMES,
            "salary": SALARIES,
            "phone": PHONES,
            "city": ["Kiel", "Bonn"] * 5,
        }
    )


def leaks(text, values=PLANTED):
    """Returns which values stand in a text: as they are, in any case, in the encodings in which code may put them."""
    variants = {text, text.casefold(), "".join(text.split()).casefold()}
    with contextlib.suppress(ValueError):
        variants |= {one.casefold() for one in _strings(json.loads(text))}
    return sorted(
        value for value in values if any(_stands(form, one) for form in _forms(value) for one in variants)
    )


def _strings(value):
    if isinstance(value, str):
        yield value
        yield "".join(value.split())
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _stands(form, text):
    if form.isdigit():  # a figure counts as a whole only
        start = text.find(form)
        while start >= 0:
            if not (
                text[start - 1 : start].isalnum() or text[start + len(form) : start + len(form) + 1].isalnum()
            ):
                return True
            start = text.find(form, start + 1)
        return False
    if len(form) <= 2:
        return any(word == form for word in text.replace('"', " ").split())
    return form in text


def _forms(value):
    yield value
    if len(value) <= 2 or value.isdigit():
        return
    yield value.casefold()
    yield "".join(value.split()).casefold()
    yield json.dumps(value)[1:-1]
    yield json.dumps(value)[1:-1].casefold()
    yield repr(value)[1:-1]
    yield html.escape(value)
    yield urllib.parse.quote(value)
    if len(value) >= 6:
        yield base64.b64encode(value.encode()).decode().rstrip("=")
        yield value.encode().hex()
        yield value[::-1]
