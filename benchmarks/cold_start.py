"""A fresh process: from its start to the result of one turn, of 200 sub-calls, and of 20 sub-agents of two turns.

The floor is a fresh process too, with threads, `http.client` and `exec`: what the same work costs without an engine.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

from benchmarks import batch, sub_agents
from benchmarks.parts import RUNS, Figure
from benchmarks.server import ROOT, Server

ENGINE = """
import sys
from rlm_jupyter import RLM, Limits
rlm = RLM(
    "openai/test-model", base_url=sys.argv[1], api_key="sk-benchmark", price=(1, 1),
    limits=Limits(cost=None), log_dir=None, cache=False,
)
print(rlm.run("root").value is not None, flush=True)
"""
FLOOR = """
import http.client, json, sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

server, width, turns, code = urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

def ask(prompt):
    connection = http.client.HTTPConnection(server.hostname, server.port)
    body = {"model": "test-model", "messages": [{"role": "user", "content": prompt}]}
    connection.request("POST", f"{server.path}/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    return json.load(connection.getresponse())["choices"][0]["message"]["content"]

def work(number):
    for turn in range(turns):
        ask(f"prompt {number} {turn}")
    exec(code, {"FINAL": lambda value: None})

ask("first")
if width:
    with ThreadPoolExecutor(width) as pool:
        list(pool.map(work, range(width)))
print(True, flush=True)
"""


def measure() -> list[Figure]:
    """Measure each by the clock of this process, and what all processes of one turn together compute."""
    scripts = [
        ("the result of one turn", {"root": ["FINAL(1)"]}, 0.0, (0, 0), 0.7, 14.0),
        ("200 sub-calls of 200 ms", {"root": [batch.CODE]}, batch.LATENCY, (batch.WIDTH, 1), 1.2, 3.2),
        (
            "20 sub-agents of 2 turns of 50 ms",
            {"root": [sub_agents.CODE], "part": ["print(context)", "FINAL(context)"]},
            sub_agents.LATENCY,
            (sub_agents.WIDTH, 2),
            1.6,
            13.0,
        ),
    ]
    figures = []
    with Server() as server:
        for name, turns, latency, (width, each), most, times in scripts:
            server.script(turns, latency=latency)
            samples, floors, computed = [], [], []
            for _ in range(RUNS):
                floors.append(_fresh(FLOOR, server.url, str(width), str(each), "FINAL(1)"))
                before = _processor_seconds()
                samples.append(_fresh(ENGINE, server.url))
                computed.append(_processor_seconds() - before)
            figures.append(Figure(f"fresh process: {name}", samples, floors, most, times=times))
            if not width:
                figures.append(Figure("fresh process: what all processes of it compute", computed, [], 1.4))
    return figures


def _fresh(program: str, *arguments: str) -> float:
    """Returns the seconds from the start of a process until it prints its result; waits for its end, too."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        told = process.stdout.readline().strip()
        took = time.perf_counter() - began
    assert told == "True", told
    return took


def _processor_seconds() -> float:
    """Returns what processes that have ended, and been waited for, took of the processors so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
