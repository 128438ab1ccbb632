"""A folder of Parquet that no machine of its size holds: twenty agents ask it, and what all processes weigh meanwhile.

They ask it by plans of polars, which each kernel carries out, and by DuckDB, which carries out all queries in the
notebook's process. `RLM_FOLDER_GB` is the size of the folder (default 2; the disk must hold it). The floor is the same
library by hand, which asks the same three questions once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.parts import Figure, asked
from benchmarks.server import Server

AGENTS = 20
GIGABYTES = float(os.environ.get("RLM_FOLDER_GB", "2"))
_FILE_ROWS = 2_000_000
_ROOT = """
import asyncio
parts = [PART for number in range(AGENTS)]
sums = await asyncio.gather(*[rlm_query("part", context=part) for part in parts])
FINAL([sum(one[at] for one in sums) for at in range(3)])
"""


@dataclass(frozen=True)
class Engine:
    """What carries out the questions.

    Attributes:
        name: of the library.
        root, part: code of the root agent and of its sub-agents.
        open: folder → what is handed over.
        ask: the same, by hand: the three answers.
    """

    name: str
    root: str
    part: str
    open: Callable[[Path], Any]
    ask: Callable[[Any], list[int]]


def _root(part: str, imports: str = "") -> str:
    return imports + _ROOT.replace("PART", part).replace("AGENTS", str(AGENTS))


def _plan(folder: Path) -> Any:
    import polars as pl

    return pl.scan_parquet(folder / "*.parquet")


def _plan_by_hand(plan: Any) -> list[int]:
    import polars as pl

    return [
        plan.select(pl.len()).collect(engine="streaming").item(),
        plan.select(pl.col("amount").sum()).collect(engine="streaming").item(),
        plan.filter(pl.col("refunded")).select(pl.len()).collect(engine="streaming").item(),
    ]


def _relation(folder: Path) -> Any:
    import duckdb

    duckdb.execute("SET memory_limit = '1GB'")
    return duckdb.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet')")


def _relation_by_hand(relation: Any) -> list[int]:
    return [
        relation.query("t", f"SELECT {question}").fetchall()[0][0]
        for question in ("count(*) FROM t", "sum(amount) FROM t", "count(*) FROM t WHERE refunded")
    ]


ENGINES = (
    Engine(
        "polars",
        _root('context.filter(pl.col("store") % AGENTS == number)', "import polars as pl"),
        """
import polars as pl
FINAL([context.select(pl.len()).collect(engine="streaming").item(),
       context.select(pl.col("amount").sum()).collect(engine="streaming").item(),
       context.filter(pl.col("refunded")).select(pl.len()).collect(engine="streaming").item()])
""",
        _plan,
        _plan_by_hand,
    ),
    Engine(
        "DuckDB",
        _root('context.where(f"store % AGENTS = {number}")'),
        """
FINAL([int(context.sql(f"SELECT {question}").iloc[0, 0])
       for question in ("count(*) FROM t", "sum(amount) FROM t", "count(*) FROM t WHERE refunded")])
""",
        _relation,
        _relation_by_hand,
    ),
)


def measure() -> list[Figure]:
    """Three questions for each of twenty agents over the folder."""
    folder = Path(tempfile.mkdtemp(prefix="rlm-folder-"))
    try:
        size = _write(folder)
        return [figure for engine in ENGINES for figure in _measure(engine, folder, size)]
    finally:
        shutil.rmtree(folder)


def _measure(engine: Engine, folder: Path, size: int) -> list[Figure]:
    data = engine.open(folder)
    began = time.perf_counter()
    floor = engine.ask(data)
    alone = time.perf_counter() - began
    with Server() as server:
        server.script({"root": ["FINAL(1)"]})
        with asked(server):
            pass  # the first run of a process starts its kernels' server
        server.script({"root": [engine.root], "part": [engine.part]})
        took, first, memory, value = _ask(server, data)
    assert value == floor, (value, floor)
    name = f"{size / 1e9:.1f} GB of Parquet, {engine.name}, {AGENTS} agents"
    return [
        Figure(f"{name}: call to first request", [first], [], 1.0, "s"),
        Figure(f"{name}: three questions each", [took], [alone], 2 * AGENTS * alone, "s"),
        Figure(f"{name}: memory of all processes", [memory], [], 3000, "MB"),
    ]


def _ask(server: Server, plan: Any) -> tuple[float, float, float, Any]:
    """Returns seconds to the value and to the first request, the most memory meanwhile in MB, and the value."""
    most, done = [0.0], threading.Event()
    watch = threading.Thread(target=_watch, args=(most, done))
    watch.start()
    began = time.perf_counter(), time.monotonic()
    try:
        with asked(server, context=plan) as run:
            value = run.value
            took = time.perf_counter() - began[0]
    finally:
        done.set()
        watch.join()
    return took, server.seen()["arrived"][0] - began[1], most[0], value


def _watch(most: list[float], done: threading.Event) -> None:
    import psutil

    me = psutil.Process()
    while not done.wait(0.25):
        total = 0
        for process in [me, *me.children(recursive=True)]:
            try:
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            except (OSError, StopIteration):
                continue
        most[0] = max(most[0], total / 1000)


def _write(folder: Path) -> int:
    """Write files of numbers that do not compress, until there is enough of them."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    rng, total = np.random.default_rng(0), 0
    while total < GIGABYTES * 1e9:
        table = pa.table(
            {
                "store": rng.integers(0, 1000, _FILE_ROWS, dtype=np.int32),
                "amount": rng.integers(0, 1 << 30, _FILE_ROWS),
                "weight": rng.random(_FILE_ROWS),
                "refunded": rng.random(_FILE_ROWS) < 0.01,
            }
        )
        path = folder / f"part-{total:015d}.parquet"
        parquet.write_table(table, path, compression="none", use_dictionary=False)
        total += path.stat().st_size
    return total
