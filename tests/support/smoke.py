"""What must work in any environment that pip allows: executed by other Pythons than the tests' own.

Prints one line of JSON: the versions, and what came of a question.
"""

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

SHOWN = (
    "anywidget",
    "ipykernel",
    "ipython",
    "jupyter-client",
    "numpy",
    "openai",
    "pandas",
    "pyarrow",
    "pydantic",
)


def main() -> None:
    import numpy as np
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    import rlm_jupyter
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.models.openai.chat import OpenAIChat
    from rlm_jupyter.views.widget import RunWidget

    assert AnswerSchema(list[int]).validate([1, 2]) == [1, 2]
    assert OpenAIChat("gpt-5", api_key="none").name == "gpt-5"
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "rlm_jupyter")
    rng = np.random.default_rng(1)
    orders = pd.DataFrame({"date": pd.date_range("2025-01-01", periods=100).repeat(2_500)})  # a large table
    orders["supplier"] = rng.choice(["Ash", "Birch", "Elm"], len(orders))
    bad = (orders["supplier"] == "Elm") & (orders["date"] >= "2025-02-20")
    orders["refunded"] = rng.random(len(orders)) < np.where(bad, 0.5, 0.05)
    shell.user_ns["orders"] = orders
    shell.run_cell_magic("rlm", "orders -m demo -o findings", "Which supplier explains the rise in refunds?")
    found = shell.user_ns["findings"]
    part = shell.run_line_magic("rlm", "pull 0.2 total")
    run = shell.run_line_magic("rlm", "last")
    told = {
        "versions": {name: version(name) for name in SHOWN},
        "package": str(Path(rlm_jupyter.__file__).parent),
        "bundle": len(str(RunWidget._esm)) > 1000,
        "supplier": found["supplier"],
        "since": found["since"],
        "pulled": [type(part).__name__, list(part.columns)],
        "agents": len(run.agents),
        "status": run.status,
    }
    run.close()
    print("TOLD", json.dumps(told))  # noqa: T201 - for the test that runs this


if __name__ == "__main__":
    os.environ["RLM_JUPYTER_DISPLAY"] = "text"
    with tempfile.TemporaryDirectory() as place:
        os.environ["IPYTHONDIR"] = place
        os.chdir(place)
        try:
            main()
        finally:
            os.chdir("/")
