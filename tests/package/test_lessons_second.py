"""Lessons 4 to 6, executed: what they say is so."""

import os
import sys

import pandas as pd
import pytest
from lessons import execute, printed, space_of


def test_write_the_model_yourself(tmp_path):
    book = execute(4, tmp_path)
    books = space_of(book, "%load_ext")["books"]
    assert printed(book, "def reply").strip() == books.loc[books["pages"].idxmax(), "title"]
    assert "first rows:" in printed(book, "print(first.messages[-1]")
    assert "has no column `author`" in printed(book, "script =")
    assert "-> Emma" in printed(book, "script =")
    assert "How many books are from before 1850?" in printed(book, "you = InteractiveModel()")
    seen = printed(book, 'you.answer("old')
    assert "Persuasion" in seen
    assert "Walden" not in seen
    assert printed(book, "run.wait(60)").strip() == str((books["year"] < 1850).sum())


def test_when_it_goes_wrong(tmp_path):
    book = execute(5, tmp_path)
    limit = printed(book, "def lost")
    assert limit.startswith("LimitReachedError\n")
    assert "`calls` of 4" in limit
    assert "['idea 0', 'idea 1', 'idea 2', 'idea 3']" in printed(book, "print(stopped.status)")
    assert printed(book, "crash =") == "3 done\n"
    assert "all variables but the data are gone" in printed(book, "print(crash.requests[2]")
    stolen = printed(book, "import os")
    assert "all reviews are good" in stolen
    if sys.platform == "linux" and os.uname().machine in ("x86_64", "aarch64"):
        assert "PermissionError" in stolen
        assert "swordfish" not in stolen
    assert not (tmp_path / "secret.txt").exists()
    assert "2026-01" in printed(book, 'record = load("recorded/month')
    assert "billing" not in printed(book, 'for turn in record.agents["0"]')
    assert printed(book, "same_code =") == "the run says 2026-01 - it is 2026-02\n"
    behind = printed(book, "print(run.code())")
    assert "to_period('M')" in behind
    assert "billing" not in behind


def test_your_own_data(tmp_path):
    book = execute(6, tmp_path)
    data = space_of(book, "%load_ext")["gapminder"].sort_values(["country", "year"])
    assert data["country"].nunique() == 142
    data["change"] = data.groupby("country")["lifeExp"].diff()
    worst = data.loc[data["change"].idxmin()]
    said = printed(book, "print(fall)")
    fall = (
        f"country='{worst.country}' since={worst.year - 5} until={worst.year} years_lost={-worst.change:.1f}"
    )
    assert said.startswith(fall)
    assert "until" in said.partition("sent back with")[2]
    assert worst.country in printed(book, "change =")
    assert printed(book, "code = run.code()").startswith("reproduced\nordered = gapminder.sort_values(")
    europe = data[data["continent"] == "Europe"]
    assert europe.loc[europe["change"].idxmin(), "country"] in printed(book, "answer =")
    shown = printed(book, "falls")
    falls = data[data["change"] < -5]
    rows = [line.split() for line in shown.splitlines()[1:]]
    assert len(rows) == len(falls)
    assert pd.Series([float(row[-1]) for row in rows]).tolist() == pytest.approx(
        sorted(falls["change"]), abs=1e-3
    )
