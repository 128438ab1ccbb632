"""Secrets of the notebook's environment reach no agent, no log and no view."""

import pytest

from rlm_jupyter.kernels.confinement.policy import confinement
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records.export import to_script
from rlm_jupyter.rlm import RLM, stop_all
from rlm_jupyter.security.redactor import MARK, Redactor, redact_ends
from rlm_jupyter.security.secret_names import secrets_in
from rlm_jupyter.views import static_html, text_tree

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
            "text": text_tree.tree(run.tree) + text_tree.show_agent(run.tree, "0"),
            "html": static_html.static_html(run.tree),
            "script": to_script(run.tree),
        }
    for where, record in records.items():
        assert "Planted" not in record, where


PLAIN = {
    "PWD": "/home/me/work",
    "GIT_AUTHOR_NAME": "Ada Lovelace",
    "SSH_AUTH_SOCK": "/run/agent",
    "LANG": "C.UTF-8",
    "KEYBOARD_LAYOUT": "german",
    "keyboardLayout": "qwerty8x7z6",
    "MONKEY": "Ab3dEf6hIj9k",
    "AUTHORITY": "Ab3dEf6hIj9k",
    "TOKENIZERS_PARALLELISM": "Ab3dEf6hIj9k",
    "PASSIVE_MODE": "Ab3dEf6hIj9k",
    "COMPASS": "Ab3dEf6hIj9k",
    "PRIMARY_KEY": "customer_order_line_id",
    "SORT-KEY": "orderLineId",
    "sortKey": "supplier",
    "KEY": "Müller & Söhne GmbH",
    "KEY_2": "Rechtsschutzversicherung",
    "API_KEY_OWNER": "internationalization",
    "TOKEN": "ключевоеслово",
    "PASSWORD": "german",
    "DB_PASSWORD": "Password",
    "PASSWORD_MIN_LENGTH": "12",
    "MAX_TOKENS": "2000000",
    "TOKEN_LIMIT": "1_000_000",
    "PIN": "471147",
    "PGPASSWORD": "12345678",
    "KEY_DATE": "2024-01-31 10:00",
    "SECRET_RATIO": "1.25e-3",
    "KEY_TYPE": "ecdsa-sha2-nistp256",
    "TOKEN_MODEL": "claude-3-5-sonnet-20241022",
    "AUTH_METHOD": "sha256",
    "AUTH_URL": "https://login.example/start",
    "SECRET_FILE": "C:\\keys\\one1.pem",
    "COOKIE_CONSENT": "accepted",
    "SESSION_COOKIE": "true",
    "SHORTCUT_KEYS": "ctrl+alt+delete",
    "DATABASE_URL": "postgres://postgres:postgres@localhost/orders",
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_only_looks_like_a_secret_stays_in_the_text(name):
    assert list(secrets_in({name: PLAIN[name]})) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "sk-proj-abcdefghijkl"),
        ("openaiApiKey", "s3cr3t99"),
        ("api-key", "A1B2C-D3E4F-G5H6I"),
        ("APIKey", "9f86d081884c7d659a2feaa0c55ad015"),
        ("SECRET_KEY_BASE", "550e8400-e29b-41d4-a716-446655440000"),
        ("TOKEN_2", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc"),
        ("GITHUB_TOKEN_PROD", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        ("SECRET", "abcdefghijklmnop"),
        ("SECRET", "aBcDeFgHiJkLmN"),
        ("TOKEN", "123456789012"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("DB_PASSWORD", "hunter2"),
        ("PGPASSWORD", "p@ssw0rd!"),
        ("SMTP_PASS", "correct horse battery staple"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.example/services/T0/B0/xyz"),
        ("SENTRY_DSN", "https://0a1b2c@sentry.example/1"),
        ("ANYTHING", "sk-ant-REDACTED"),
        ("ANYTHING", "AKIAIOSFODNN7EXAMPLE"),
    ],
)
def test_what_is_a_secret_by_its_name_and_its_looks_is_one(name, value):
    assert list(secrets_in({name: value})) == [value]


def test_passwords_in_urls_are_secrets_but_where_they_are_a_plain_word():
    assert set(secrets_in({"U": "http://me:a%20b@host"})) == {"a%20b", "a b"}
    assert set(secrets_in({"U": "redis://:Tr0ub4dor@host:6379/0"})) == {"Tr0ub4dor"}
    assert not list(secrets_in({"HTTP_PROXY": "http://proxy.example:3128/"}))


@pytest.mark.parametrize(
    ("env", "secret"),
    [
        ({"PASSWORD": "swordfish"}, True),
        ({"PASSWORD": "12345678"}, True),
        ({"PASSWORD": "123456"}, False),
        ({"PASSWORD": "abc"}, False),
        ({"REGION": "Germany"}, False),
        ({"MODE": "production"}, False),
        ({"INDEX": "orders-2024"}, False),
        ({"ROOT": "/data/a1b2c3d4e5f6"}, False),
        ({"LOGIN": "hunter2hunter2"}, True),
    ],
)
def test_of_what_is_handed_over_a_password_is_secret_whatever_it_is_and_the_rest_by_its_looks(env, secret):
    assert list(secrets_in(env, handed=True)) == [*env.values()] * secret


def test_words_of_the_environment_stay_in_the_records_of_a_run(monkeypatch, tmp_path):
    for name in ("KEYBOARD_LAYOUT", "KEY", "PASSWORD"):
        monkeypatch.setenv(name, "german")
    monkeypatch.setenv("ORDER_KEY", "supplier")
    monkeypatch.setenv("FIRST_TOKEN", "1200000")
    told = "The german supplier sold 1200000 items."
    model = ScriptedModel([f"```repl\nprint({told!r})\nFINAL({told!r})\n```"])
    with RLM(model=model, log_dir=tmp_path).run(told, [1], env={"REGION": "german"}) as run, run.lock:
        records = [
            run.log_path.read_text(),
            text_tree.show_agent(run.tree, "0"),
            static_html.static_html(run.tree),
        ]
    for record in records:
        assert told in record
        assert MARK not in record


def test_without_a_sandbox_nothing_is_said_to_be_kept_back():
    told = confinement("none", {}, local=True)
    assert told["holds"] == []
    assert "keys of this process" in told["missing"][0]


@pytest.mark.parametrize("left", [6, 9, 15])
def test_a_part_of_a_secret_beside_a_cut_is_taken_out_too(left):
    redact = Redactor(["Planted00xxxxxxx", "aaaaaaaaaaaaaaaa"])
    for secret in ("Planted00xxxxxxx", "aaaaaaaaaaaaaaaa"):
        begins, ends = f"Bearer {secret[:left]}", f"{secret[-left:]} tail"
        assert redact(f"{begins}…and more") == f"Bearer {MARK}…and more"
        assert redact(f"the head…{ends}") == f"the head…{MARK} tail"
        assert redact.ends(begins, ends) == (f"Bearer {MARK}", f"{MARK} tail")
        assert redact.ends(f"{secret} {begins}", "") == (f"{MARK} Bearer {MARK}", "")
        # What begins a text, or ends it, was not cut there.
        assert redact.ends(ends, begins) == (ends, begins)
    assert redact("Planting…xxxxx") == "Planting…xxxxx"
    assert redact.ends("Planting", "xxxxx") == ("Planting", "xxxxx")
    assert redact("Planted00") == "Planted00"


def test_a_sentence_about_a_cut_in_a_text_means_nothing():
    """An agent can print the notice itself: where a text was cut is known as a number, and not read out of it."""
    text = "Planted00\n[... 1,234 characters cut ...]\nxxxxxxx"
    assert Redactor(["Planted00xxxxxxx"])(text) == text


def test_what_is_no_redactor_gets_each_end_by_itself():
    assert redact_ends(str.upper, "a", "b") == ("A", "B")
    assert redact_ends(Redactor(["Planted00xxxxxxx"]), "Planted00", "b") == (MARK, "b")
