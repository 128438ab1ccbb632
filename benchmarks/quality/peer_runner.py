"""Runs tasks through another implementation; started by the Python of that one's environment, as a file.

`python peer_runner.py rlms|dspy TASKS OUT` reads a JSON list of tasks and appends events to OUT, as JSONL: `began`
when all is imported, `turn` at each turn, and `answer` at the end, with an answer or an error. It imports nothing of
this repository.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Tell = Callable[..., None]


def main(peer: str, tasks: str, out: str) -> None:
    """Run all tasks of a file."""
    ask = {"rlms": _rlms, "dspy": _dspy}[peer]()
    for task in json.loads(Path(tasks).read_text("utf-8")):
        with Path(out).open("a", encoding="utf-8") as file:

            def tell(event: str, _file: Any = file, _task: str = task["name"], **fields: Any) -> None:
                _file.write(json.dumps({"event": event, "task": _task, **fields}) + "\n")
                _file.flush()

            tell("began")
            try:
                answer = ask(task, tell)
                tell("answer", answer=None if answer is None else str(answer), error=None)
            except Exception as error:
                tell("answer", answer=None, error=f"{type(error).__name__}: {error}"[:500])


def _rlms() -> Callable[[dict[str, Any], Tell], Any]:
    rlm = importlib.import_module("rlm")
    logs = importlib.import_module("rlm.logger")

    def logger(tell: Tell) -> Any:
        class Counting(logs.RLMLogger):  # type: ignore[misc, name-defined]  # known only at run time
            def log(self, iteration: Any) -> None:
                tell("turn")
                super().log(iteration)

        return Counting()

    def ask(task: dict[str, Any], tell: Tell) -> Any:
        made = rlm.RLM(
            backend="openai",
            backend_kwargs={"model_name": task["model"], "base_url": task["base_url"], "api_key": "none"},
            environment="local",
            max_iterations=task["turns"],
            max_depth=1,
            sampling_args={"temperature": 0.0, "max_tokens": task["reply_tokens"]},
            logger=logger(tell),
        )
        return made.completion(task["text"], root_prompt=task["question"]).response

    return ask


def _dspy() -> Callable[[dict[str, Any], Tell], Any]:
    dspy = importlib.import_module("dspy")
    local = importlib.import_module("dspy.primitives.local_interpreter")

    def ask(task: dict[str, Any], tell: Tell) -> Any:
        class Interpreter(local.LocalInterpreter):  # type: ignore[misc, name-defined]  # known only at run time
            def execute(self, code: str, variables: Any = None) -> Any:
                if "question" in (variables or {}):  # else it is dspy's own preparation
                    tell("turn")
                return super().execute(code, variables)

        model = dspy.LM(
            f"openai/{task['model']}",
            api_base=task["base_url"],
            api_key="none",
            temperature=0.0,
            max_tokens=task["reply_tokens"],
            cache=False,
        )
        # The default interpreter loads Pyodide from the network; this one is a local process, as that of rlms.
        made = dspy.RLM(
            "context, question -> answer", max_iters=task["turns"], interpreter_factory=Interpreter
        )
        with dspy.context(lm=model):
            return made(context=task["text"], question=task["question"]).answer

    return ask


if __name__ == "__main__":
    main(*sys.argv[1:])
