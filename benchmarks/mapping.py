"""One question for each of 5,000 rows: what packing saves, and what a process that is killed at half pays twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.parts import Figure
from benchmarks.server import ROOT

ROWS = 5000
SUPPORT = ROOT / "tests" / "support"
CONCURRENCY = (2, 8)
"""What is in flight when the process is killed is lost: at most so many requests."""


def measure() -> list[Figure]:
    """The floor of tokens is one request a row; that of seconds is one request after the other."""
    sys.path.insert(0, str(SUPPORT))
    with tempfile.TemporaryDirectory(prefix="rlm-map-") as directory:
        cache = Path(directory)
        packed, many, seconds = _whole(cache / "packed", per=0, rows=ROWS)
        alone, one_each, _ = _whole(cache / "alone", per=1, rows=500)
        figures = [
            Figure(
                f"prompt tokens of {ROWS:,} rows, {many} requests",
                [packed],
                [alone * ROWS / 500],
                alone * ROWS / 2500,
                "tokens",
            ),
            Figure(f"{ROWS:,} rows from start to end of the process, 8 at once", [seconds], [], 60, "s"),
        ]
        assert one_each == 500
        for concurrency in CONCURRENCY:
            more, requests = _killed(cache / f"killed-{concurrency}", concurrency)
            name = f"killed at half, asked again: tokens more than one pass, {concurrency} at once"
            figures.append(Figure(name, [more], [], max(1.0, 110 * concurrency / requests), "%"))
    return figures


def _server(**options: Any) -> Any:
    from map_parts import good_reply
    from openai_server import OpenAIServer

    return OpenAIServer(lambda request: good_reply(request["messages"]), **options)


def _start(url: str, cache: Path, rows: int, per: int, concurrency: int) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(ROOT), str(SUPPORT)])
    env = {**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, str(SUPPORT / "map_process.py"), url, str(rows), str(per), str(concurrency)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str], rows: int) -> None:
    out, _ = process.communicate(timeout=600)
    assert json.loads(out.splitlines()[-1]) == {"done": rows, "errors": 0, "wrong": 0}, out


def _whole(cache: Path, *, per: int, rows: int) -> tuple[float, int, float]:
    """Returns prompt tokens by the server's count, requests and seconds of one pass."""
    with _server(latency=0.1) as server:
        began = time.perf_counter()
        _end(_start(server.url, cache, rows, per, 8), rows)
        return server.prompt_tokens, server.calls, time.perf_counter() - began


def _killed(cache: Path, concurrency: int) -> tuple[float, int]:
    """Returns by how many percent two runs, of which the first is killed at half, cost more, and one's requests."""
    per = 20
    with _server(latency=0.02) as server:
        _end(_start(server.url, cache / "whole", ROWS, per, concurrency), ROWS)
        whole = server.prompt_tokens + server.completion_tokens
        calls = server.calls
    with _server(latency=0.02) as server:
        process = _start(server.url, cache / "half", ROWS, per, concurrency)
        while server.calls < calls // 2:
            time.sleep(0.002)
        process.kill()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
        _end(_start(server.url, cache / "half", ROWS, per, concurrency), ROWS)
        # What was in flight is counted as billed, although this server never sent it.
        lost = server.aborted * whole / calls
        return 100 * ((server.prompt_tokens + server.completion_tokens + lost) / whole - 1), calls
