"""Whether a value stands below its tree: not if the card shows the whole of it, unless a setting says so."""

import pytest
from magics_parts import notebook

SET_UP = """
from rlm_jupyter.models import ScriptedModel

def asks(code):
    return ScriptedModel(lambda messages: "```repl\\n" + code + "\\n```")

number = asks("FINAL(sum(context))")
long = asks("FINAL('word ' * 10_000)")
nothing = asks("FINAL(None)")
chart = asks("import matplotlib.pyplot as plt\\nfigure, axes = plt.subplots()\\naxes.plot([1, 2])\\nFINAL(figure)")
orders = [1, 2, 3]
"""


@pytest.fixture(scope="module", params=["html", "text"])
def book(request, tmp_path_factory):
    with notebook(tmp_path_factory.mktemp("notebook"), display=request.param) as book:
        book.mode = request.param
        assert book.run(SET_UP)[0]["status"] == "ok"
        yield book


def results(outputs):
    return [content["data"]["text/plain"] for kind, content in outputs if kind == "execute_result"]


def shown(outputs):
    """What a saved notebook has as plain text, the value's own output aside."""
    texts = [content.get("text", "") for kind, content in outputs if kind == "stream"]
    kinds = ("display_data", "update_display_data")
    return "".join([*texts, *(content["data"]["text/plain"] for kind, content in outputs if kind in kinds)])


def test_a_value_that_the_card_shows_whole_is_the_cells_value_and_printed_once(book):
    reply, outputs = book.run("%%rlm orders -m number\nWhat is the sum?")
    assert reply["status"] == "ok"
    assert results(outputs) == []
    assert "Answer: 6\n" in shown(outputs) + "\n"
    assert book.value("(_, Out[max(Out)])") == "(6, 6)"
    assert results(book.run("6")[1]) == ["6"]  # an equal value of another cell is printed as ever


@pytest.mark.parametrize("around", ["%%time\n", "%%capture captured\n"])
def test_within_another_magic_the_next_cell_prints_as_ever(book, around):
    reply, outputs = book.run(f"{around}%%rlm orders -o total -m number\nWhat is the sum?")
    assert (reply["status"], results(outputs)) == ("ok", [])
    assert results(book.run("total")[1]) == ["6"]


def test_a_value_that_the_card_does_not_show_whole_stands_below_the_tree(book):
    (text,) = results(book.run("%%rlm -m long\nSay a lot.")[1])
    assert len(text) > 40_000


def test_a_chart_is_printed_where_there_is_no_picture_on_the_card(book):
    outputs = book.run("%%rlm -m chart\nPlot it.")[1]
    assert len(results(outputs)) == (book.mode == "text")


@pytest.mark.parametrize(("setting", "count"), [("always", 1), ("never", 0), ("auto", 0)])
def test_a_setting_says_otherwise(book, setting, count):
    book.run(f"%config RLMMagics.print_value = '{setting}'")
    assert len(results(book.run("%%rlm orders -m number\nWhat is the sum?")[1])) == count


def test_with_never_not_even_a_long_value_is_printed(book):
    book.run("%config RLMMagics.print_value = 'never'")
    try:
        assert results(book.run("%%rlm -m long\nSay a lot.")[1]) == []
    finally:
        book.run("%config RLMMagics.print_value = 'auto'")


def test_a_value_of_none_is_none(book):
    outputs = book.run("%%rlm -m nothing\nSay nothing.")[1]
    assert results(outputs) == []
    assert "Answer: None" in shown(outputs)
