"""The runs of the quickstart, with the bundled demo model: their code is reproduced, and short."""

import numpy as np
import pandas as pd
import pytest

from rlm_jupyter import RLM


@pytest.fixture(scope="module")
def orders():
    rng = np.random.default_rng(7)
    rows = 20_000
    table = pd.DataFrame(
        {
            "order_id": np.arange(rows),
            "date": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 365, rows), unit="D"),
            "supplier": rng.choice(["Aldgate", "Birch & Co", "Kestrel"], rows),
            "country": rng.choice(["DE", "FR", "GB"], rows),
            "price": rng.gamma(3.0, 25.0, rows).round(2),
        }
    )
    planted = (table["supplier"] == "Kestrel") & (table["date"] >= "2025-09-08")
    return table.assign(refunded=rng.random(rows) < np.where(planted, 0.3, 0.02))


CORPUS = {f"m{i}.py": "class A:\n    pass\n" * i + "x = 1\n" for i in range(12)}
QUESTIONS = [
    ("Which supplier explains the rise in refunds, and since when?", "orders"),
    ("How many class definitions are there, and which module has the most?", "corpus"),
    ("Should we part with this supplier?", "orders"),
    ("Which country has the highest average price?", "orders"),
    ("Plot the refunds over time", "orders"),
]

LINES = {"Which country has the highest average price?": 3}  # one line of pandas, and the answer's


@pytest.mark.parametrize(("question", "data"), QUESTIONS)
def test_the_code_behind_an_answer_of_the_quickstart(orders, tmp_path, question, data):
    context = orders if data == "orders" else CORPUS
    with RLM(model="demo", log_dir=tmp_path, cache=False).run(
        question, context=context, names=(data,)
    ) as run:
        code = run.code()
        assert code.verdict == "reproduced", f"{code.detail}\n{code}"
        assert not code.whole
        assert code.parameters == (data,)
        assert code.share <= 0.55
        assert len(str(code).splitlines()) <= LINES.get(question, 30)
