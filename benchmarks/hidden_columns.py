"""Ten million e-mail addresses that are hidden: what their index costs once, and the search of each request.

Also those of a file, which a kernel of its own reads.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.parts import Figure
from rlm_jupyter.registry import kernel_pool
from rlm_jupyter.run_setup.hidden_sources.confined_reader import ConfinedReader
from rlm_jupyter.run_setup.hidden_sources.sources_read import HiddenSources
from rlm_jupyter.run_setup.sources import Grants
from rlm_jupyter.run_setup.start import Data
from rlm_jupyter.security.hidden.hidden_columns import ColumnFinder
from rlm_jupyter.security.hidden.hidden_values import HiddenValues
from rlm_jupyter.settings import Settings

ROWS = 10_000_000
REQUESTS = 50
RUNS = 3
_FIRST = ("anna", "bernd", "carla", "dieter", "eva", "frank", "gina", "hans")
_LAST = ("schmidt", "meier", "mueller", "krause", "wolf", "lange")


def _emails() -> list[str]:
    return [
        f"{_FIRST[row % 8]}.{_LAST[row % 6]}{row * 7919 % ROWS}@example{row % 97}.com" for row in range(ROWS)
    ]


def _message(emails: list[str]) -> str:
    """Returns an observation of about 6,000 characters, with forty addresses in it."""
    lines = [f"{row} | {emails[row * 131]} | Kiel | {row * 3.7:.2f} | refunded in March" for row in range(40)]
    return "\n".join(lines) + "\n" + "The share of refunds rose from 3.1 to 4.7 percent since then. " * 50


def measure() -> list[Figure]:
    """Measure in this process; the kinds of columns that pandas makes of texts are both measured."""
    emails = _emails()
    figures = []
    for kind in ("str", "object"):
        data = pd.DataFrame({"email": pd.Series(emails, dtype=kind)})
        built, searched = [], []
        for _ in range(RUNS):
            began = time.perf_counter()
            finder = ColumnFinder(("email",))
            finder.search(data)
            hidden = HiddenValues(list(finder.columns.values()))
            built.append(time.perf_counter() - began)
            for request in range(REQUESTS):
                text = f"{_message(emails)}{request}"
                began = time.perf_counter()
                hidden.hide(text)
                searched.append(1000 * (time.perf_counter() - began))
            del hidden, finder
        figures += [
            Figure(f"hide 10,000,000 e-mails, `{kind}`: index, once", built, [], 3.0),
            Figure(f"hide 10,000,000 e-mails, `{kind}`: search of a request", searched, [], 2.0, "ms"),
        ]
    with tempfile.TemporaryDirectory() as folder:
        figures += _of_files(Path(folder), emails)
    return figures


def _of_files(folder: Path, emails: list[str]) -> list[Figure]:
    """Measure what a question costs once if the addresses are in a file: they are read, handed over and indexed."""
    data = pd.DataFrame({"id": range(ROWS), "email": emails, "spent": range(ROWS)})
    data.to_parquet(folder / "people.parquet")
    data.to_csv(folder / "people.csv", index=False)
    del data
    figures = []
    for name, most in (("people.parquet", 8.0), ("people.csv", 40.0)):
        taken = []
        for _ in range(RUNS):
            began = time.perf_counter()
            finder = ColumnFinder(("email",))
            path = folder / name
            sources = HiddenSources(finder, ConfinedReader(kernel_pool, Settings(log_dir=None)))
            sources.read(path, Data(grants=Grants((str(path),))), ())
            HiddenValues(list(finder.columns.values()))
            taken.append(time.perf_counter() - began)
        figures.append(Figure(f"hide 10,000,000 e-mails of `{name}`: read and index, once", taken, [], most))
    return figures
