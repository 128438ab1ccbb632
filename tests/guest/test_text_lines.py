"""What the lines of a text have in common: a table of them, the others, and the lines of a question's words."""

import json
import random
import time

import pytest

from rlm_jupyter.guest.text_lines import (
    find_lines,
    kind_of_lines,
    named_sections,
    other_lines,
    outline,
    parse_lines,
)

LABELS = ["billing", "delivery", "quality"]


def labelled(number=300):
    pick = random.Random(1)
    return "\n".join(
        f"Date: 2026-0{pick.randint(1, 6)}-{pick.randint(10, 28)} || User: {pick.randint(100, 160)} || "
        f"Label: {pick.choice(LABELS)}"
        for _ in range(number)
    )


def test_lines_of_names_and_values_become_columns_of_their_types():
    assert kind_of_lines(labelled()) == "form"
    rows, others = parse_lines(labelled()), other_lines(labelled())
    assert list(rows.columns) == ["date", "user", "label"]
    assert (len(rows), others) == (300, [])
    assert rows["date"].dtype.kind == "M"
    assert rows["user"].dtype.kind == "i"
    assert set(rows["label"]) == set(LABELS)


def test_lines_of_a_log_keep_names_with_leading_zeros_and_read_amounts():
    text = "\n".join(
        f"[{n:05d}] payment {'done' if n % 3 else 'failed'} amount=${n * 1000 + 0.5:,.2f}" for n in range(50)
    )
    rows = parse_lines(text)
    assert rows["field"][7] == "00007"
    assert rows["amount"][7] == 7000.5
    assert list(rows["payment"][:2]) == ["failed", "done"]


def test_lines_of_another_form_are_given_beside():
    lines = [f"INFO step {n} fine" for n in range(500)]
    lines[77] = "ERROR code E1042 raised by worker 3"
    rows, others = parse_lines("\n".join(lines)), other_lines("\n".join(lines))
    assert others == ["ERROR code E1042 raised by worker 3"]
    assert len(rows) == 499
    assert rows["step"].sum() == sum(range(500)) - 77


def test_free_text_between_parts_that_stand_in_each_line_is_a_field():
    pick = random.Random(3)
    words = ["the", "box,", "it:", "came", "(late)", "and", "was", "open", "or", "not"]
    text = "\n".join(
        f"Date: 2026-05-{pick.randint(10, 28)} || User: {pick.randint(1, 9)} || Instance: {' '.join(pick.choices(words, k=8))}"
        for _ in range(200)
    )
    rows, others = parse_lines(text), other_lines(text)
    assert "user" in rows.columns
    assert len(rows) + len(others) == 200
    assert len(rows) >= 190


def test_json_lines_and_delimited_fields():
    records = "\n".join(json.dumps({"sku": f"S{n}", "price": n / 2}) for n in range(30)) + "\nbroken {"
    assert kind_of_lines(records) == "json"
    rows, others = parse_lines(records), other_lines(records)
    assert rows["price"].sum() == sum(range(30)) / 2
    assert others == ["broken {"]
    table = "name,amount,day\n" + "\n".join(f'"Smith, {n}",{n},2026-01-{n + 10}' for n in range(15))
    assert kind_of_lines(table) == "csv"
    rows, others = parse_lines(table), other_lines(table)
    assert rows["name"][3] == "Smith, 3"
    assert rows["day"].dtype.kind == "M"
    assert others == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "one line",
        "\n".join(random.Random(2).choice(["river stone lamp", "lamp", "paper, river"]) for _ in range(99)),
        "INVITED\n" + "\n".join(f"user{n}@mail.test" for n in range(99)),
        "def f(x):\n    return x\n\nclass A:\n    pass\n\n\n" * 9,
    ],
)
def test_text_without_a_form_is_left_as_it_is(text):
    assert kind_of_lines(text) is None
    with pytest.raises(ValueError, match="no form in common"):
        parse_lines(text)


def test_the_lines_of_the_rarest_words_come_first():
    lines = [f"step {n} of the code is fine" for n in range(1000)]
    lines[500] = "The secret vault code is 48213977."
    assert find_lines("\n".join(lines), "What is the secret vault code?") == [lines[500]]
    assert find_lines("\n".join(lines), "") == []
    assert find_lines("", "words") == []
    assert (
        len(find_lines("\n".join(f"apple {n}" for n in range(9)), "apple", most=3)) == 0
    )  # in each line: no help


@pytest.mark.parametrize(
    "text",
    [
        "a: " * 200_000,
        "a=1 b=2\n" * 200_000,
        ("(" * 1999 + "\n") * 500,
        "x" * 3_000_000,
        "a:b:c:d:e:" * 190 + "\n" + "a:b\n" * 9,
    ],
)
def test_no_text_keeps_it_busy(text):
    began = time.monotonic()
    kind_of_lines(text)
    find_lines(text, "What is the a and the b of x?")
    assert time.monotonic() - began < 20  # a guard against what never ends, not a measure


def test_lines_of_a_second_fact_come_after_those_that_name_it():
    pick = random.Random(2)
    filler = ["river", "stone", "lamp", "paper", "window"]
    texts = {
        f"memo {n}": "\n".join(" ".join(pick.choices(filler, k=8)) for _ in range(30)) for n in range(40)
    }
    texts["memo 7"] += "\nThe Basalt project is led by Zhang."
    texts["memo 9"] += "\nMs Zhang has a desk in Riga."
    texts["memo 11"] += "\nMr Weber has a desk in Oslo."
    found = find_lines(texts, "In which city does the lead of project Basalt work?", 2)
    assert found == [
        "['memo 7'] The Basalt project is led by Zhang.",
        "['memo 9'] Ms Zhang has a desk in Riga.",
    ]


def test_the_line_that_a_name_of_the_question_leads_to_stands_before_its_likes():
    names = ["Adams", "Weber", "Rossi", "Zhang", "Moreau", "Petrov", "Haddad"]
    lines = ["river stone lamp"] * 500
    for n, name in enumerate(names):
        lines[60 * n] = f"{name} may spend {n}1234 euros this year."
        lines[60 * n + 30] = f"Project P{n}x is led by {name}."
    found = find_lines("\n".join(lines), "How many euros may the lead of project P5x spend this year?", 4)
    assert found == ["Project P5x is led by Petrov.", "Petrov may spend 51234 euros this year."]


REVIEWS = "\n".join(
    f"{n + 1}. {('Superb, my kids adore it', 'Horrible smell, sent it back', 'Broke after two days')[n % 3]}"
    for n in range(30)
)


def test_a_numbered_list_is_a_table_of_its_texts():
    assert kind_of_lines(REVIEWS) == "items"
    rows = parse_lines(f"Reviews of May\n{REVIEWS}")
    assert list(rows["number"]) == list(range(1, 31))
    assert rows["text"][1] == "Horrible smell, sent it back"
    assert other_lines(f"Reviews of May\n{REVIEWS}") == ["Reviews of May"]
    assert list(
        parse_lines("- Superb, I love it\n- Awful\n- Broke\n- Fine so far\n- Loved it\n").columns
    ) == ["text"]
    assert outline(REVIEWS, "How many of these product reviews are negative?")["lines"] == ["items"]
    assert outline(REVIEWS, "What is the name of the shop?")["lines"] == []


def lists(*headings):
    people = [f"{name}{n}@mail.test" for name in ("ann", "bo", "cy") for n in range(40)]
    return "\n".join(
        "\n".join([heading, *people[n * 20 : n * 20 + 60], ""]) for n, heading in enumerate(headings)
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("INVITED", "ACCEPTED"),
        ("[Invited]", "[Accepted]"),
        ("# Invited", "## Accepted"),
        ("== Invited ==", "== Accepted =="),
    ],
)
def test_lists_below_headings_are_a_table_with_their_sections(first, second):
    text = lists(first, second)
    assert kind_of_lines(text) == "sections"
    rows = parse_lines(text)
    names = list(dict.fromkeys(rows["section"]))
    assert [name.lower() for name in names] == ["invited", "accepted"]
    assert (rows["section"] == names[0]).sum() == 60
    question = f"Which addresses are in section {names[1]} and not in {names[0]}?"
    assert outline(text, question)["lines"] == ["sections"]
    assert named_sections(list(rows.itertuples(index=False, name=None)), question) == names[::-1]
    assert outline(text, "Who is `ann3`?")["lines"] == []


def test_prose_below_headings_and_lists_without_are_no_table():
    prose = "\n".join(
        f"# Chapter {n}\nIt was a dark and stormy night in the year {n}.\nNobody was there." for n in range(9)
    )
    assert kind_of_lines(prose) is None
    assert kind_of_lines("\n".join(f"ann{n}@mail.test" for n in range(99))) is None
    assert kind_of_lines("ONE\nTWO\nTHREE\nFOUR\nFIVE\nSIX") is None
