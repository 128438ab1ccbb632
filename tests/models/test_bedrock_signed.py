"""Bedrock by AWS credentials: where they come from, signatures, expiry, refusals, and that no secret is told."""

import json
import logging
import os
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import botocore.session
import pytest
from bedrock_server import SignedBedrockServer, refused
from limits_parts import limits
from openai_server import Reply
from scripts import cell, question_of

from rlm_jupyter import RLM, diagnostics, system
from rlm_jupyter.errors import AuthenticationError, ConfigError, MissingKeyError, ModelError
from rlm_jupyter.models import BedrockChat, CompletionRequest, Price, named_model
from rlm_jupyter.models.openai.sdk_wire import SdkWire
from rlm_jupyter.models.retry import RetryPolicy
from rlm_jupyter.providers import bedrock_region

MODEL = "us.anthropic.claude-test-v1:0"
RETRY = RetryPolicy(attempts=3, first_wait=0.01, longest_backoff=0.02)
ACCOUNTS = {
    f"ASIAPLANTED00000000{n}": (
        f"planted/secret+of=account{n}0123456789abcd",
        f"planted-token//{n}" + "x" * 60,
    )
    for n in range(3)
}
FIRST, SECOND, _ = ACCOUNTS
LONG_TERM = "AKIAPLANTED000000009"


@pytest.fixture
def server():
    with SignedBedrockServer() as server:
        server.accounts = {**ACCOUNTS, LONG_TERM: ("planted/secret-of-long-term-0123456789", None)}
        server.script = lambda _: "ok"
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No credentials but those of a test, and none of a machine of AWS's."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "RLM_MODEL", "OPENROUTER"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


def in_environment(monkeypatch, key):
    secret, token = {**ACCOUNTS, LONG_TERM: ("planted/secret-of-long-term-0123456789", None)}[key]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)


def by_program(monkeypatch, tmp_path, *keys, minutes=60):
    """Let a program of a profile issue the credentials of accounts, one after the other and then the last."""
    program, count = tmp_path / "issue.py", tmp_path / "count"
    end = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    answers = [
        {"Version": 1, "AccessKeyId": key, "SecretAccessKey": ACCOUNTS[key][0], "SessionToken": ACCOUNTS[key][1],
         "Expiration": end}
        for key in keys
    ]  # fmt: skip
    program.write_text(
        textwrap.dedent(f"""
        import json, pathlib
        answers, count = json.loads({json.dumps(answers)!r}), pathlib.Path({str(count)!r})
        number = len(count.read_text()) if count.exists() else 0
        count.write_text("x" * (number + 1))
        print(json.dumps(answers[min(number, len(answers) - 1)]))
        """)
    )
    (tmp_path / "config").write_text(f"[profile work]\ncredential_process = {sys.executable} {program}\n")
    monkeypatch.setenv("AWS_PROFILE", "work")
    return lambda: len(count.read_text()) if count.exists() else 0


def bedrock(server, name=MODEL, **options):
    options = {"timeout": 20, "retry": RETRY, "price": Price(2.0, 10.0), **options}
    return BedrockChat(name, base_url=server.url, **options)


async def asked(model, *, streamed=False, **changes):
    on_delta = (lambda _: None) if streamed else None
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many? ä😀"}]
    try:
        return await model.complete(CompletionRequest(messages, 100, on_delta=on_delta, **changes))
    finally:
        await model.aclose()


def test_awss_own_library_signs_as_the_server_of_these_tests_has_it(server, monkeypatch):
    in_environment(monkeypatch, FIRST)
    session = botocore.session.get_session()
    client = session.create_client("bedrock-runtime", region_name="eu-central-1", endpoint_url=server.url)
    asked = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "How many? ä😀"}]}]}
    assert client.converse(**asked)["output"]["message"]["content"] == [{"text": "ok"}]
    client.close()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("key", [FIRST, LONG_TERM])
@pytest.mark.parametrize(
    "name",
    [
        MODEL,
        "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1 b+ü",
        "amazon.nova-pro-v1:0",
    ],
)
async def test_a_request_is_signed_with_the_credentials_of_the_environment(
    server, monkeypatch, name, key, streamed
):
    in_environment(monkeypatch, key)
    assert (await asked(bedrock(server, name), streamed=streamed)).text == "ok"
    assert (server.calls, server.regions) == (1, {"eu-central-1"})
    assert ACCOUNTS.get(key, ("planted/secret",))[0] not in str(server.received[0].headers)


async def test_through_the_sdk_the_same_is_signed(server, monkeypatch):
    in_environment(monkeypatch, FIRST)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    model = bedrock(server)
    assert type(model._wires.choose()) is SdkWire
    monkeypatch.delenv("http_proxy")
    assert (await asked(model)).text == "ok"
    assert (await asked(model, streamed=True)).text == "ok"
    server.expired = {FIRST}
    with pytest.raises(AuthenticationError, match="AWS credentials"):
        await asked(model)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(AuthenticationError, match="none were found"):
        await asked(model)


async def test_a_profile_and_the_files_of_awss_own_tools_are_read(server, monkeypatch, tmp_path):
    secret, token = ACCOUNTS[SECOND]
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = {SECOND}\naws_secret_access_key = {secret}\naws_session_token = {token}\n"
    )
    assert (await asked(bedrock(server))).text == "ok"
    issued = by_program(monkeypatch, tmp_path, FIRST)
    model = bedrock(server)
    assert issued() == 0  # nothing is asked for before the first request
    assert (await asked(model)).text == (await asked(model)).text == "ok"
    assert issued() == 1


async def test_a_key_of_bedrock_goes_before_credentials(server, monkeypatch):
    in_environment(monkeypatch, FIRST)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "ABSK-planted-0123456789")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)
    model = named_model(f"bedrock/{MODEL}", retry=RETRY)
    with pytest.raises(AuthenticationError, match="refused the key"):
        await asked(model)
    assert server.received[0].headers["authorization"] == "Bearer ABSK-planted-0123456789"
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK")
    assert (await asked(named_model(f"bedrock/{MODEL}", retry=RETRY))).text == "ok"


# Expiry.


async def test_credentials_are_refreshed_before_they_expire(server, monkeypatch, tmp_path):
    issued = by_program(monkeypatch, tmp_path, FIRST, SECOND, minutes=5)  # less than botocore lets them live
    model = bedrock(server)
    for _ in range(3):
        assert (await asked(model)).attempts == 1
    used = {
        one.headers["authorization"].partition("Credential=")[2].partition("/")[0] for one in server.received
    }
    assert used <= {FIRST, SECOND}
    assert SECOND in used
    assert issued() >= 2


async def test_a_session_that_the_server_calls_expired_is_replaced_and_the_request_sent_again(
    server, monkeypatch, tmp_path
):
    issued = by_program(monkeypatch, tmp_path, FIRST, SECOND)
    model = bedrock(server)
    assert (await asked(model)).attempts == 1
    server.expired = {FIRST}
    waits = []
    completion = await asked(model, on_wait=lambda reason, seconds: waits.append((reason, seconds)))
    assert (completion.text, completion.attempts, issued()) == ("ok", 2, 2)
    assert waits == [("key refused (403)", 0.0)]


async def test_credentials_that_stay_expired_are_told_after_one_more_request(server, monkeypatch):
    in_environment(monkeypatch, FIRST)
    server.expired = {FIRST}
    model = bedrock(server)
    with pytest.raises(
        AuthenticationError, match=r"refused the AWS credentials .*expired.*`aws sso login`"
    ) as caught:
        await asked(model)
    assert (server.calls, caught.value.attempts) == (2, 2)
    in_environment(monkeypatch, SECOND)  # signed in anew, in another terminal
    assert (await asked(model)).text == "ok"


def test_a_run_goes_on_over_the_end_of_a_session(server, monkeypatch, tmp_path):
    by_program(monkeypatch, tmp_path, FIRST, SECOND)

    def answer(request):
        question = question_of(request["messages"])
        if question is None:
            return "plain"
        if question == "part":
            return cell("FINAL([context, llm_query('plain')])")
        server.expired = {FIRST}  # while the sub-agent is being made
        return cell("FINAL(rlm_query('part', context=1))")

    server.script = answer
    rlm = RLM(model=bedrock(server), limits=limits(cost=1.0), log_dir=tmp_path / "logs", cache=False)
    with rlm.run("root") as run:
        assert run.raise_for_error().value == [1, "plain"]
        told = f"{run.events}{run.log_path.read_text()}"
    assert not [secret for account in ACCOUNTS.values() for secret in account if secret in told]


# What is refused, and what is lacking.


@pytest.mark.parametrize(
    ("answer", "kind", "words", "calls"),
    [
        (refused(403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
         AuthenticationError, "refused the AWS credentials", 1),
        (refused(403, "AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:InvokeModel"),
         AuthenticationError, "May they use this model", 1),
        (refused(429, "ThrottlingException", "Too many requests, please wait before trying again."), ModelError, "limits the rate", 3),
    ],
)  # fmt: skip
async def test_refusals_are_told_as_elsewhere(server, monkeypatch, answer, kind, words, calls):
    in_environment(monkeypatch, FIRST)
    server.script = lambda _: answer
    with pytest.raises(kind, match=words):
        await asked(bedrock(server))
    assert server.calls == calls


async def test_what_a_refusal_quotes_of_the_credentials_is_not_shown(server, monkeypatch):
    in_environment(monkeypatch, FIRST)
    secret, token = ACCOUNTS[FIRST]
    server.script = lambda _: refused(400, "ValidationException", f"Odd: {FIRST} {secret} {token}")
    model = bedrock(server)
    with pytest.raises(ModelError, match="Odd") as caught:
        await asked(model)
    shown = f"{caught.value}{model!r}{model._authorizer!r}{model.identity}"
    assert not [part for part in (FIRST, secret, token) if part in shown]


async def test_no_log_holds_a_secret_at_any_level(server, monkeypatch, tmp_path, caplog):
    by_program(monkeypatch, tmp_path, FIRST, SECOND, minutes=5)
    with caplog.at_level(logging.DEBUG):
        model = bedrock(server)
        await asked(model)
        await asked(model, streamed=True)
        logging.getLogger("botocore.auth").debug("of another's use")
    assert "of another's use" in caplog.text
    assert not [secret for account in ACCOUNTS.values() for secret in account if secret in caplog.text]
    assert FIRST not in caplog.text


SSO = """[profile work]
sso_session = s
sso_account_id = 1
sso_role_name = r
[sso-session s]
sso_region = eu-central-1
sso_start_url = https://sso.invalid/start
"""


@pytest.mark.parametrize(
    ("config", "profile", "words"),
    [
        ("", None, "none were found"),
        ("", "nobody", "nobody"),
        ("[profile work]\ncredential_process = /bin/false\n", "work", "custom-process"),
        (SSO, "work", "SSO|sso"),
    ],
)  # fmt: skip
async def test_lacking_credentials_are_told_with_what_to_do(
    server, monkeypatch, tmp_path, config, profile, words
):
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv("HOME", str(tmp_path))
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    with pytest.raises(AuthenticationError, match=words) as caught:
        await asked(bedrock(server))
    assert "AWS_PROFILE" in str(caught.value)
    assert caught.value.__context__ is None
    assert server.calls == 0


def test_the_region_is_that_of_the_address_else_of_the_environment():
    hosts = {
        "https://bedrock-runtime.us-west-2.amazonaws.com": "us-west-2",
        "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com": "us-gov-west-1",
        "https://vpce-1-2.bedrock-runtime.eu-west-3.vpce.amazonaws.com": "eu-west-3",
        "https://gate.example/bedrock-runtime.us-west-2.amazonaws.com": "ap-south-1",
    }
    for url, region in hosts.items():
        assert bedrock_region(url, {"AWS_REGION": "ap-south-1"}) == region
    assert bedrock_region("http://127.0.0.1:1", {}) is None


def test_without_a_region_or_the_library_nothing_is_made(server, monkeypatch):
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(ConfigError, match="AWS_REGION"):
        bedrock(server)
    monkeypatch.setattr(system, "find_spec", lambda _: None)
    with pytest.raises(MissingKeyError, match=r"rlm_jupyter\[bedrock\]"):
        bedrock(server)
    with pytest.raises(MissingKeyError, match=r"AWS_BEARER_TOKEN_BEDROCK.*rlm_jupyter\[bedrock\]"):
        named_model(f"bedrock/{MODEL}", env={"AWS_REGION": "us-east-1"})


@pytest.mark.parametrize("through_the_sdk", [False, True])
async def test_a_redirection_is_not_followed_with_a_signature(server, monkeypatch, through_the_sdk):
    in_environment(monkeypatch, FIRST)
    if through_the_sdk:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "")
    model = bedrock(server)
    assert (type(model._wires.choose()) is SdkWire) == through_the_sdk
    monkeypatch.delenv("http_proxy", raising=False)
    with SignedBedrockServer() as other:
        url = f"{other.url}/model/x/converse"
        server.script = lambda _: Reply(status=307, body={}, headers={"Location": url})
        with pytest.raises(ModelError):
            await asked(model)
        assert other.calls == 0
    assert server.calls > 0


def test_no_part_of_the_credentials_is_in_an_agents_kernel(server, monkeypatch):
    in_environment(monkeypatch, FIRST)
    server.script = lambda _: cell("import os\nFINAL(str(dict(os.environ)))")
    with RLM(model=bedrock(server), limits=limits(), log_dir=None, cache=False).run("root") as run:
        seen = run.raise_for_error().value
    assert not [part for part in (FIRST, *ACCOUNTS[FIRST]) if part in seen]


def test_the_doctor_names_what_credentials_are_named_by_and_never_a_value(monkeypatch):
    assert not [line for line in diagnostics.provider_lines() if "-m bedrock/" in line]
    in_environment(monkeypatch, FIRST)
    (line,) = [line for line in diagnostics.provider_lines() if "-m bedrock/" in line]
    assert line == "Provider bedrock: -m bedrock/NAME  (`AWS_ACCESS_KEY_ID` is set)"
    monkeypatch.setattr(system, "find_spec", lambda _: None)
    assert not [line for line in diagnostics.provider_lines() if "-m bedrock/" in line]
