"""Secrets of the notebook's environment reach no agent, no log and no view."""

import pytest

from rlm_jupyter.kernels.policy import confinement
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records.export import to_script
from rlm_jupyter.records.redact import MARK, Redactor
from rlm_jupyter.rlm import RLM, stop_all
from rlm_jupyter.tools.secret_names import secrets_in
from rlm_jupyter.views import html, text

NAMES = [
    "OPENAI_API_KEY", "OPENROUTER_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN",
    "HF_TOKEN", "PGPASSWORD", "MYSQL_PWD", "JUPYTER_TOKEN", "SLACK_WEBHOOK",
    "MY_PASS", "SMTP_AUTH", "STRIPE_SK", "GH_PAT", "DB_DSN",
    "SESSION_COOKIE", "LC_SECRET", "PYTHON_SECRET", "IPY_PASSWORD", "RLM_MODEL_API_KEY",
]  # fmt: skip
SECRETS = {name: f"Planted{number:02}{'x' * 10}" for number, name in enumerate(NAMES)}
DATABASE = "postgres://me:PlantedInAnUrl@db.example/orders"
LOOK = """```repl
import glob, os, re, subprocess
seen = [repr(dict(os.environ)), subprocess.run(["env"], capture_output=True, text=True).stdout]
for path in [*glob.glob("/proc/*/environ"), *glob.glob("/proc/*/cmdline"), f"/proc/{os.getppid()}/environ"]:
    try:
        seen.append(open(path, "rb").read().decode("latin-1"))
    except OSError:
        pass
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        if "r" in line.split()[1] and len(line.split()) < 6 or "heap" in line or "stack" in line:
            try:
                memory.seek(low)
                seen.append(memory.read(min(high - low, 1 << 26)).decode("latin-1"))
            except (OSError, ValueError):
                pass
what = "Plan" + "ted[0-9A-Z][0-9A-Za-z]{5}"
FINAL([sorted(set(re.findall(what, "".join(seen)))), sorted(os.environ)])
```"""


@pytest.fixture
def planted(monkeypatch):
    stop_all()  # the kernels' supervisor starts with the planted environment
    for name, value in {**SECRETS, "DATABASE_URL": DATABASE}.items():
        monkeypatch.setenv(name, value)


def test_no_secret_of_the_environment_is_in_an_agents_environment_memory_or_reach(planted, tmp_path):
    with RLM(model=ScriptedModel([LOOK]), log_dir=tmp_path).run("Q", [1]) as run:
        found, names = run.value
    assert found == []
    assert not {*SECRETS, "DATABASE_URL"} & set(names)


def test_what_a_model_repeats_of_a_secret_is_in_no_record(planted, tmp_path):
    told = " ".join([*SECRETS.values(), DATABASE])
    replies = [
        f"```repl\nprint({told!r})\nx = {told!r}\nraise ValueError({told!r})\n```",
        f"```repl\nFINAL({told!r})\n```",
    ]
    model = ScriptedModel(lambda messages: replies[min(1, len(messages) // 2 - 1)])
    run = RLM(model=model, log_dir=tmp_path).run(f"What of {told}?", context=[told])
    with run, run.lock:
        records = {
            "log": run.log_path.read_text(),
            "events": "".join(event.model_dump_json() for event in run.events),
            "text": text.tree(run.tree) + text.show_agent(run.tree, "0"),
            "html": html.static_html(run.tree),
            "script": to_script(run.tree),
        }
    for where, record in records.items():
        assert "Planted" not in record, where


def test_names_that_only_look_like_secrets_keep_their_values_in_the_text():
    plain = {
        "PWD": "/home/me/work",
        "GIT_AUTHOR_NAME": "Ada Lovelace",
        "SSH_AUTH_SOCK": "/run/agent",
        "LANG": "C.UTF-8",
    }
    assert list(secrets_in(plain)) == []
    assert set(secrets_in({"U": "http://me:a%20b@host"})) == {"a%20b", "a b"}
    assert not list(secrets_in({"HTTP_PROXY": "http://proxy.example:3128/"}))


def test_without_a_sandbox_nothing_is_said_to_be_kept_back():
    told = confinement("none", {}, local=True)
    assert told["holds"] == []
    assert "keys of this process" in told["missing"][0]


@pytest.mark.parametrize("cut", ["…", "\n[... 1,234 characters cut ...]\n"])
@pytest.mark.parametrize("left", [6, 9, 15])
def test_a_part_of_a_secret_beside_a_cut_is_taken_out_too(cut, left):
    redact = Redactor(["Planted00xxxxxxx", "aaaaaaaaaaaaaaaa"])
    for secret in ("Planted00xxxxxxx", "aaaaaaaaaaaaaaaa"):
        assert redact(f"Bearer {secret[:left]}{cut}and more") == f"Bearer {MARK}{cut}and more"
        assert redact(f"the head{cut}{secret[-left:]} tail") == f"the head{cut}{MARK} tail"
    assert redact(f"Planting{cut}xxxxx") == f"Planting{cut}xxxxx"
    assert redact("Planted00") == "Planted00"
