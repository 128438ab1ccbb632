"""Hidden values are found in a text however they are written, and tokens become them again as literals of code."""

import ast
import base64
import datetime as dt
import html
import json
import pickle
import re
import urllib.parse

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_values import EMAILS, HIDE, NAMES, PHONES, PLANTED, SALARIES, frame, leaks

from rlm_jupyter import Hidden
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.security.hidden.hidden_columns import ColumnFinder, read_hide
from rlm_jupyter.security.hidden.hidden_values import HiddenValues, HidingRedactor

FIXED = "Output: print the following rows of the DataFrame, for example from sklearn import model"


def hidden(data, hide, ordinary=FIXED):
    finder = ColumnFinder(read_hide(hide))
    finder.search(finder.unwrap(data))
    return HiddenValues(list(finder.columns.values()), ordinary)


@pytest.fixture(scope="module")
def planted():
    return hidden(frame(), HIDE)


WAYS = {
    "as it is": str,
    "in a line": lambda value: f"id 7: {value}, city Kiel",
    "repr": lambda value: repr([value]),
    "JSON": lambda value: json.dumps({"a": value}),
    "JSON twice": lambda value: json.dumps(json.dumps({"a": value})),
    "URL": lambda value: f"https://x.example/?q={urllib.parse.quote(value)}&b=1",
    "URL, plus": lambda value: urllib.parse.urlencode({"q": value}),
    "HTML": lambda value: f"<td>{html.escape(value)}</td>",
    "upper case": str.upper,
    "lower case": str.lower,
    "bytes": lambda value: repr(value.encode()),
    "between other text": lambda value: f"<<{value}>>",
}
CODED = {
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 of a text": lambda value: base64.b64encode(f"To: {value}; hello".encode()).decode(),
    "base64 of a text, other place": lambda value: base64.b64encode(f"mail = {value}; hi".encode()).decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "base64 in lines": lambda value: base64.encodebytes(f"{'x' * 50} {value}; hi".encode()).decode(),
    "hex": lambda value: value.encode().hex(),
    "hex, spaced": lambda value: value.encode().hex(" ").upper(),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_value_is_left_however_it_is_written(planted, way):
    for value in PLANTED:
        if way in ("upper case", "lower case") and len(value) == 2:
            continue  # `XU` is a word of other languages; two letters are found as they stand
        sent = planted.hide(WAYS[way](value))
        assert "⟨" in sent, (value, WAYS[way](value), sent)
        assert leaks(sent, [value]) == [], sent


@pytest.mark.parametrize("way", CODED)
def test_no_value_is_left_in_an_encoding(planted, way):
    for value in PLANTED:
        if len(value.encode()) < 6:
            continue
        written = CODED[way](value)
        sent = planted.hide(f"see {written}.")
        assert "⟨" in sent, (value, written, sent)
        assert written not in sent


def test_reversed_values_are_found(planted):
    for value in (EMAILS[0], NAMES[0], PHONES[0]):
        assert value[::-1] not in planted.hide(f"x {value[::-1]} y")


def test_a_value_over_two_lines_is_one_value(planted):
    for value in (EMAILS[0], EMAILS[3], NAMES[0], NAMES[9], PHONES[3]):
        for place in range(1, len(value)):
            sent = planted.hide(f"first\n{value[:place]}\n{value[place:]}\nlast")
            label = "email" if value in EMAILS else "name" if value in NAMES else "phone"
            assert re.fullmatch(rf"first\n\+?\n?⟨{label}:\d+⟩\nlast", sent), sent


def test_values_that_are_glued_to_others_are_found(planted):
    assert planted.hide(EMAILS[0] + EMAILS[2]) == "⟨email:1⟩⟨email:3⟩"
    assert planted.hide(f"user{EMAILS[2]}") == "user⟨email:3⟩"
    assert planted.hide("xxZebulonQuartermaine") == "xx⟨name:1⟩"


@pytest.mark.parametrize(
    "written",
    [
        "81234",
        "81,234",
        "81'234",
        "81_234",
        "81 234",
        "81234.0",
        "81234.00",
        "8.1234e4",
        "8.1234e+04",
        "81.234,00",
    ],
)
def test_a_number_is_found_in_all_its_forms(planted, written):
    assert planted.hide(f"pay {written}, then") == "pay ⟨salary:1⟩, then"


@pytest.mark.parametrize("other", ["812345", "x81234", "81234x", "0.81234", "181234", "81,2345", "81233"])
def test_a_number_is_found_as_a_whole_token_only(planted, other):
    assert planted.hide(f"pay {other} then") == f"pay {other} then"


def test_numbers_of_fewer_than_four_digits_stay():
    column = hidden(pd.DataFrame({"age": [7, 42, 100.0, 999, 1000]}), ["age"])
    assert column.hide("7 42 100 999 100.0 1000") == "7 42 100 999 100.0 ⟨age:5⟩"


def test_a_rounded_number_is_found():
    column = hidden(pd.DataFrame({"pay": [1234567.891, -4321.55]}), ["pay"])
    assert column.hide("1.234568e+06 | 1234568 | -4321.55 | -4322") == "⟨pay:1⟩ | ⟨pay:1⟩ | ⟨pay:2⟩ | ⟨pay:2⟩"


def test_a_number_over_two_lines_or_encoded_is_found(planted):
    for place in range(1, 5):
        assert planted.hide(f"a\n{'81234'[:place]}\n{'81234'[place:]}\nb") == "a\n⟨salary:1⟩\nb"
    assert planted.hide("7\n42\n8") == "7\n42\n8"
    for coded in (
        base64.b64encode(b"81234"),
        base64.b64encode(b"pay: 81234 EUR"),
        b"pay 81234 EUR".hex().encode(),
    ):
        assert planted.hide(f"see {coded.decode()}.").count("⟨salary:1 in ") == 1


def test_dates_are_found_as_they_are_written():
    born = hidden(pd.DataFrame({"born": pd.to_datetime(["1980-05-17", "2001-11-02"])}), ["born"])
    for written in (
        "1980-05-17",
        "1980-05-17 00:00:00",
        "17.05.1980",
        "05/17/1980",
        "datetime.date(1980, 5, 17)",
    ):
        assert "⟨born:1⟩" in born.hide(f"on {written}."), written
        assert "1980" not in born.hide(f"on {written}."), written
    assert born.hide("1999-05-17") == "1999-05-17"


def test_other_words_stay(planted):
    text = (
        "The xuan dynasty, obadiahs, the li and the wu, kiel, 12345678. "
        "df.groupby('city').size() -> Kiel 5; Bonn 5. 2026-11-30 23:59:59, 0.12345"
    )
    assert planted.hide(text) == text


def test_words_of_every_prompt_and_names_of_columns_stay():
    column = hidden(pd.DataFrame({"team": ["print", "Output", "rows", "Zorgon"]}), ["team"])
    assert column.hide("Output:\nprint the rows of Zorgon") == "Output:\nprint the rows of ⟨team:4⟩"


def test_what_was_cut_off_leaves_no_beginning(planted):
    for sent in (
        planted.hide("| zelda.quist@no…"),
        planted.hide("zelda.quist@no..."),
        planted.hide("see zelda.quist@no", cut_end=True),
        planted.hide("x zelda.qui\n[... 1,234 characters cut ...]\ny"),
    ):
        assert "zelda" not in sent


def test_a_part_of_a_value_is_found_and_a_neighbour_with_the_same_letters_is_not(planted):
    assert planted.hide("his name ends in ermaine, and Quartermaine is rare") == (
        "his name ends in ermaine, and ⟨name:part⟩ is rare"
    )
    visible = hidden(pd.DataFrame({"email": ["john.smithers@mail.example"]}), ["email"])
    assert visible.hide("John Smithers, johnsmithers") == "John Smithers, johnsmithers"
    assert visible.hide("john.smithers") == "⟨email:part⟩"


def test_parts_of_long_texts_are_found():
    note = "The patient says that her brother drinks, and that she has not slept since the eleventh of March at all."
    notes = hidden(pd.DataFrame({"note": [note, "other words"]}), ["note"])
    assert notes.hide(f"> {note}") == "> ⟨note:1⟩"
    assert "brother" not in notes.hide(f"{note[:60]}...")
    assert "brother" not in notes.hide(f"quote: '{note[17:70]}'")
    assert notes.hide("the patient sleeps, since March, says her brother") == (
        "the patient sleeps, since March, says her brother"
    )


def test_tokens_stay_as_they_are(planted):
    once = planted.hide(f"{EMAILS[0]} {SALARIES[0]}")
    assert once == "⟨email:1⟩ ⟨salary:1⟩"
    assert planted.hide(once) == once


def test_the_same_value_in_two_tables_has_one_token():
    data = {
        "a": pd.DataFrame({"email": ["x@mail.example", "y@mail.example"]}),
        "b": [{"email": "y@mail.example"}],
    }
    assert hidden(data, ["email"]).hide("y@mail.example x@mail.example") == "⟨email:2⟩ ⟨email:1⟩"


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"E-Mail": ["x@mail.example"], "n": [1]}),
        pd.DataFrame({"n": [1]}, index=pd.Index(["x@mail.example"], name="e-mail")),
        pd.DataFrame([["x@mail.example"]], columns=pd.MultiIndex.from_tuples([("contact", "E-mail")])),
        pd.DataFrame({"e-mail": pd.Categorical(["x@mail.example", None])}),
        pd.DataFrame({"e-mail": [["x@mail.example"], {"a": "z@mail.example"}]}),
        pd.DataFrame({"e-mail": pd.array(["x@mail.example", pd.NA], dtype="string")}),
        pd.Series(["x@mail.example"], name="e-mail"),
        pl.DataFrame({"e-mail": ["x@mail.example"]}),
        pa.table({"e-mail": ["x@mail.example"]}),
        np.array([(1, "x@mail.example")], dtype=[("n", int), ("e-mail", "U20")]),
        [{"e-mail": "x@mail.example"}],
        pd.DataFrame({"record": [None, {"e-mail": "x@mail.example"}]}),
        {"people": [{"contact": {"e-mail": ["x@mail.example"]}}]},
        "id;e-mail;n\n1;x@mail.example;7\n",
        'id,e-mail\r\n1,"x@mail.example"\r\n',
        '{"people": [{"e-mail": "x@mail.example"}]}',
        '{"n": 1}\n{"e-mail": "x@mail.example"}\n',
        {"doc": "id\te-mail\n1\tx@mail.example\n"},
    ],
    ids=lambda data: type(data).__name__,
)
def test_columns_are_found_in_data_of_all_kinds(data):
    assert hidden(data, "*mail").hide("to x@mail.example") in (
        "to ⟨E-Mail:1⟩",
        "to ⟨e-mail:1⟩",
        "to ⟨contact_E-mail:1⟩",
    )


def test_many_records_are_one_column():
    found = hidden(
        [{"e-mail": f"x{number}@mail.example", "n": number} for number in range(50_000)], ["e-mail", "n"]
    )
    assert found.hide("x49999@mail.example 49999") == "⟨e-mail:50000⟩ ⟨n:50000⟩"


def test_hidden_values_are_named_and_unwrapped():
    people = pd.Series(["Ada Lovelace"], name="who")
    finder = ColumnFinder(read_hide([Hidden(["x@mail.example"], "mail")]))
    assert finder.unwrap({"people": Hidden(people), "n": 1})["people"] is people
    found = HiddenValues(list(finder.columns.values()))
    assert found.hide("Ada Lovelace: x@mail.example") == "⟨who:1⟩: ⟨mail:1⟩"
    assert "Ada" not in repr(Hidden(people))
    assert "Ada" not in repr(found)


def test_hidden_values_are_unwrapped_at_any_depth_and_never_sent():
    finder = ColumnFinder(())
    data = {"a": [{"mails": Hidden(["x@mail.example"])}, (1, Hidden(("y@mail.example",), "who"))], "n": [1]}
    assert finder.unwrap(data) == {"a": [{"mails": ["x@mail.example"]}, (1, ("y@mail.example",))], "n": [1]}
    assert set(finder.columns) == {"mails", "who"}
    assert finder.unwrap(plain := {"a": [1, (2,)]}) is plain
    with pytest.raises(ConfigError, match="stands inside"):
        pickle.dumps(Hidden(["x@mail.example"]))


@settings(max_examples=150, deadline=None)
@given(
    before=st.text(max_size=60),
    after=st.text(max_size=60),
    value=st.sampled_from([*EMAILS, NAMES[0], NAMES[9], *PHONES[:4]]),
)
def test_any_text_around_a_value_leaves_none_of_it(planted, before, after, value):
    sent = planted.hide(f"{before} {value} {after}")
    assert value not in sent
    assert planted.hide(sent) == sent


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="\\\\xu%&#;0189afeE+-.,'_= \n⟨⟩:√é\ud800email", max_size=80))
def test_no_text_is_too_odd(planted, text):
    planted.hide(text)
    planted.restored(text)
    planted.code(text)


@pytest.mark.parametrize("wrong", [3, {"email": 1}, [None], [object()]])
def test_what_cannot_be_hidden_is_refused(wrong):
    with pytest.raises(ConfigError, match="`hide`"):
        read_hide(wrong)


# ---- tokens in code

ODD = [
    "it's",
    'say "hi"',
    "a\\b",
    "line\nbreak",
    "{x}",
    "tab\t",
    "ünï",
    "'''",
    '"""',
    "a+b.c",
    "\\",
    "x'y\"z\\n{w}\n",
]


@pytest.fixture(scope="module")
def odd():
    return hidden(pd.DataFrame({"v": ODD}), ["v"])


CODE = {
    "a text": ("x = '⟨v:{n}⟩'", lambda value: value),
    "double quotes": ('x = "a ⟨v:{n}⟩ b"', lambda value: f"a {value} b"),
    "a raw text": ("x = r'⟨v:{n}⟩'", lambda value: value),
    "three quotes": ("x = '''\n⟨v:{n}⟩\n'''", lambda value: f"\n{value}\n"),
    "an f-string": ("y = 1\nx = f'{{y}}: ⟨v:{n}⟩ {{y + 1:>3}}'", lambda value: f"1: {value}   2"),
    "within an f-string": ("d = 'z'\nx = f\"{{d + '⟨v:{n}⟩'}}!\"", lambda value: f"z{value}!"),
    "bytes": ("x = b'⟨v:{n}⟩'.decode()", lambda value: value),
    "without quotes": ("x = [⟨v:{n}⟩][0]", lambda value: value),
    "neighbours": ("x = 'a' '⟨v:{n}⟩' \"b\"", lambda value: f"a{value}b"),
    "beside a comment": ("# ⟨v:{n}⟩ it is\nx = '⟨v:{n}⟩'  # ⟨v:{n}⟩", lambda value: value),
    "a key": ("x = list({{'⟨v:{n}⟩': 1}})[0]", lambda value: value),
    "a function": ("def f(a='⟨v:{n}⟩'):\n    return a\nx = f()", lambda value: value),
}


@pytest.mark.parametrize("case", CODE)
def test_a_token_in_code_is_the_value_and_nothing_else(odd, case):
    code, wanted = CODE[case]
    for number, value in enumerate(ODD, 1):
        made = odd.code(code.format(n=number))
        names = {}
        exec(made, names)
        assert names["x"] == wanted(value), made


@pytest.mark.parametrize(
    "code",
    [
        "x = re.fullmatch(r'⟨v:{n}⟩', value)",
        "x = re.search('^⟨v:{n}⟩$', value)",
        "x = re.compile(rf'(?:⟨v:{n}⟩)').fullmatch(value)",
        "p = r'(⟨v:{n}⟩)'\nx = re.fullmatch(p, value)",
        "x = re.fullmatch(re.escape('⟨v:{n}⟩'), value)",
        "x = pd.Series([value]).str.contains('⟨v:{n}⟩')[0]",
        "x = pd.Series([value]).str.contains('⟨v:{n}⟩', regex=False)[0]",
        "x = pd.Series([value]).str.fullmatch(r'⟨v:{n}⟩')[0]",
    ],
)
def test_a_token_in_a_pattern_matches_its_value(odd, code):
    for number, value in enumerate(ODD, 1):
        names = {"re": re, "pd": pd, "value": value}
        exec(odd.code(code.format(n=number)), names)
        assert names["x"], (value, odd.code(code.format(n=number)))


def test_lines_and_comments_of_code_stay(odd):
    code = "# look\nx = 1\n\nif x:  # then\n    y = '⟨v:1⟩'\n"
    assert odd.code(code) == code.replace("⟨v:1⟩", r"it\x27s")


def test_a_token_of_a_number_is_the_number(planted):
    made = planted.code("x = df[df.salary > ⟨salary:1⟩]\ny = '⟨salary:1⟩'\nz = -⟨salary:2⟩")
    assert made == "x = df[df.salary > 81234]\ny = '81234'\nz = -40517"


def test_unknown_tokens_and_code_that_is_no_python_stay(planted):
    assert planted.code("x = '⟨email:99⟩ ⟨nothing:1⟩ ⟨email:0⟩'") == "x = '⟨email:99⟩ ⟨nothing:1⟩ ⟨email:0⟩'"
    assert planted.code("%time f('⟨email:2⟩')") == r"%time f('o\x27hara+news@b-und-b.example')"
    with pytest.raises(SyntaxError):
        ast.parse(planted.code("x⟨email:1⟩ = 3"))


def test_a_reply_has_the_values_and_json_stays_json(planted):
    assert planted.restored("It is ⟨email:1⟩.") == f"It is {EMAILS[0]}."
    for shape in (
        '{"who": "⟨email:7⟩", "n": 1}',
        'Here:\n```json\n["⟨email:7⟩"]\n```',
        'So {"a": "⟨email:8⟩"} it is',
    ):
        text = planted.restored(shape)
        first, last = min(text.find(c) for c in "{[" if c in text), max(text.rfind(c) for c in "}]")
        found = json.loads(text[first : last + 1])
        assert (found["who"] if "who" in found else found["a"] if "a" in found else found[0]) in EMAILS


def test_a_token_is_known_with_the_escapes_of_json(planted):
    assert json.loads(planted.restored(json.dumps(["⟨email:8⟩"]))) == [EMAILS[7]]
    sizes = hidden(pd.DataFrame({"größe": ["riesenhaft"]}), ["größe"])
    assert json.loads(sizes.restored(json.dumps({"a": "⟨größe:1⟩"}))) == {"a": "riesenhaft"}
    assert planted.code(r'x = "\u27e8email:1\u27e9"') == f'x = "{EMAILS[0]}"'


def test_ends_of_a_text_that_was_cut_hold_no_part(planted):
    redact = HidingRedactor(["sk-0123456789"], planted)
    head, tail = redact.ends("key sk-0123456789 of zelda.quist@nord", "tail")
    assert (head, tail) == ("key «redacted» of ⟨email:part⟩", "tail")


def test_a_date_that_is_shown_becomes_its_text():
    born = hidden(pd.DataFrame({"born": [dt.date(1980, 5, 17)]}), ["born"])
    assert born.code("x = '⟨born:1⟩'") == "x = '1980-05-17'"
