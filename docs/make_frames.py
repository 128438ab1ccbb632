"""Write `frames.md` from the declarations of the tables, so that no column is ever missing: `make docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rlm_jupyter.events.run_tables import DTYPES, TABLES

PAGE = Path(__file__).with_name("frames.md")

HEAD = """# Runs as DataFrames

Made from the code by `make docs`; a test keeps it fresh.

```python
run.frame("turns")  # of a run, also while it goes on; `run = %rlm last` is the newest one

from rlm_jupyter.records import frame

frame("rlm_runs")  # the agents of all runs in a directory of logs
frame("rlm_runs", "calls").groupby("run").cost.sum()
frame("rlm_runs/RUN.jsonl", "variables")
```

`rlm_jupyter.records.frame(path, table="agents")` reads one log, or all `*.jsonl` of a directory. A log that was cut
short counts as far as it goes; files that are not logs of a run are left out with a warning, and
`frame.attrs["left_out"]` says why.

Times are UTC, durations are seconds, money is US dollars, sizes are bytes. The dtypes are always the same, also
without rows. What is not known is missing (`NA`, `NaN` or `NaT`), and so is a number in a damaged log that cannot be.
Texts are what the log has: not shortened, not escaped, and without the secrets that were redacted.
"""


def page() -> str:
    """Returns the whole page."""
    return "\n".join([HEAD, *tables()]).rstrip() + "\n"


def tables() -> Iterator[str]:
    """Yields each table with its columns."""
    for name, table in TABLES.items():
        yield f"## `{name}`\n\n{table.about}\n\n| column | dtype | |\n|---|---|---|"
        for column in table.columns:
            yield f"| `{column.name}` | `{DTYPES[column.kind]}` | {column.about} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8", newline="\n")
