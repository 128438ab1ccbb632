"""Gemini on Vertex AI: addresses, access tokens and their expiry, keys of the express mode, and that no token is told."""

import http.server
import json
import logging
import os
import threading

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gemini_server import VertexGeminiServer, refused
from limits_parts import limits
from scripts import cell, question_of

from rlm_jupyter import RLM, system
from rlm_jupyter.errors import (
    AuthenticationError,
    ConfigError,
    MissingKeyError,
    ModelError,
    ProviderUnreachableError,
)
from rlm_jupyter.models import CompletionRequest, GeminiChat, Price, named_model
from rlm_jupyter.models.openai.sdk_wire import SdkWire
from rlm_jupyter.models.retry import RetryPolicy
from rlm_jupyter.providers import vertex_url

RETRY = RetryPolicy(attempts=3, first_wait=0.01, longest_backoff=0.02)
TOKEN = "ya29.planted-token-of-google-0123456789-{}"
HOUR = 3600
KEY = VertexGeminiServer.key


class Tokens:
    """Issues access tokens for the key of a service account, one after the other.

    Attributes:
        issued: how many were.
        seconds: that each is told to live.
        refuses: whether it takes the account for one that is gone.
    """

    def __init__(self) -> None:
        self.issued, self.seconds, self.refuses = 0, HOUR, False
        tokens = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = self.rfile.read(int(self.headers["content-length"])).decode()
                good = "jwt-bearer" in asked and "assertion=" in asked and not tokens.refuses
                if good:
                    tokens.issued += 1
                    answer = {"access_token": TOKEN.format(tokens.issued), "token_type": "Bearer"}
                    answer["expires_in"] = tokens.seconds
                else:
                    answer = {
                        "error": "invalid_grant",
                        "error_description": "Invalid grant: account not found",
                    }
                data = json.dumps(answer).encode()
                self.send_response(200 if good else 400)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def private_key():
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.private_bytes(*form).decode()


@pytest.fixture
def tokens():
    issuing = Tokens()
    yield issuing
    issuing.close()


@pytest.fixture
def server(monkeypatch, tmp_path, tokens, private_key):
    """Vertex AI, and the environment of somebody with a service account of the project `our-project`."""
    for name in [
        n for n in os.environ if n.startswith(("GOOGLE_", "GEMINI_", "RLM_MODEL", "OPENROUTER", "CLOUDSDK"))
    ]:
        monkeypatch.delenv(name)
    account = {
        "type": "service_account",
        "project_id": "other-project",
        "private_key_id": "1",
        "client_id": "1",
        "client_email": "x@our-project.iam.gserviceaccount.com",
        "token_uri": tokens.url,
        "private_key": private_key,
    }
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "our-project")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "europe-west4")
    with VertexGeminiServer() as server:
        monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", server.url)
        server.takes = lambda token: tokens.issued > 0 and token == TOKEN.format(tokens.issued)
        server.script = lambda _: "ok"
        yield server


def vertex(**options):
    options = {"timeout": 20, "retry": RETRY, "price": Price(2.0, 10.0), **options}
    return named_model("vertex/gemini-2.5-flash", **options)


async def asked(model, *, streamed=False, **changes):
    on_delta = (lambda _: None) if streamed else None
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many? ä😀"}]
    try:
        return await model.complete(CompletionRequest(messages, 100, on_delta=on_delta, **changes))
    finally:
        await model.aclose()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_request_goes_to_the_project_with_a_token(server, tokens, streamed):
    model = vertex()
    assert type(model) is GeminiChat
    assert tokens.issued == 0  # nothing is asked for before the first request
    completion = await asked(model, streamed=streamed)
    assert (completion.text, completion.model, tokens.issued) == ("ok", "gemini-2.5-flash", 1)
    headers = server.received[0].headers
    place = "/v1/projects/our-project/locations/europe-west4/publishers/google/models/gemini-2.5-flash:"
    assert headers[":path"].startswith(place)
    assert headers["authorization"] == f"Bearer {TOKEN.format(1)}"
    assert not {"x-goog-api-key", "openai-organization"} & set(headers)


async def test_through_the_sdk_the_same_is_sent(server, tokens, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    model = vertex()
    assert type(model._wires.choose()) is SdkWire
    monkeypatch.delenv("http_proxy")
    assert (await asked(model)).text == (await asked(model, streamed=True)).text == "ok"
    assert tokens.issued == 1


async def test_a_token_is_refreshed_before_it_expires(server, tokens):
    tokens.seconds = 10  # less than google-auth lets one live
    model = vertex()
    for number in (1, 2):
        assert (await asked(model)).attempts == 1
        assert tokens.issued == number


async def test_a_token_that_is_refused_is_replaced_and_the_request_sent_again(server, tokens):
    model = vertex()
    await asked(model)
    server.takes = lambda token: token == TOKEN.format(2)
    waits = []
    completion = await asked(model, on_wait=lambda reason, seconds: waits.append((reason, seconds)))
    assert (completion.attempts, tokens.issued, waits) == (2, 2, [("key refused (401)", 0.0)])


def test_a_run_goes_on_over_the_end_of_a_token(server, tokens, tmp_path):
    def answer(request):
        question = question_of(request["messages"])
        if question is None:
            return "plain"
        if question == "part":
            return cell("FINAL([context, llm_query('plain')])")
        server.takes = lambda token: token == TOKEN.format(2)
        return cell("FINAL(rlm_query('part', context=1))")

    server.script = answer
    rlm = RLM(model=vertex(), limits=limits(cost=1.0), log_dir=tmp_path / "logs", cache=False)
    with rlm.run("root") as run:
        assert run.raise_for_error().value == [1, "plain"]
        assert "ya29" not in f"{run.events}{run.log_path.read_text()}"
    assert tokens.issued == 2


@pytest.mark.parametrize(
    ("answer", "kind", "words", "calls"),
    [
        (refused(401, "UNAUTHENTICATED", f"Invalid credentials: {TOKEN.format(1)}"), AuthenticationError, "refused the Google", 2),
        (refused(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource"), AuthenticationError,
         "May they use this model", 1),
        (refused(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."), ModelError, "limits the rate", 3),
        (refused(404, "NOT_FOUND", "Publisher Model `publishers/google/models/gemini-2.5-flash` was not found"), ModelError,
         "has no model", 1),
    ],
)  # fmt: skip
async def test_refusals_are_told_as_elsewhere_without_the_token(server, tokens, answer, kind, words, calls):
    server.script = lambda _: answer
    model = vertex()
    with pytest.raises(kind, match=words) as caught:
        await asked(model)
    assert server.calls == calls
    assert "ya29" not in f"{caught.value}{model!r}{model._authorizer!r}{model.identity}"


async def test_credentials_that_are_gone_are_told_with_what_to_do(server, tokens, monkeypatch, tmp_path):
    tokens.refuses = True
    with pytest.raises(
        AuthenticationError, match=r"invalid_grant.*gcloud auth application-default login"
    ) as caught:
        await asked(vertex())
    assert caught.value.__context__ is None
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    with pytest.raises(AuthenticationError, match=r"nowhere\.json.*GOOGLE_APPLICATION_CREDENTIALS"):
        await asked(vertex())
    assert server.calls == 0


async def test_a_server_of_tokens_that_is_not_there_is_no_connection(server, tokens):
    tokens.server.server_close()
    with pytest.raises(ProviderUnreachableError, match="Google Cloud credentials"):
        await asked(vertex())


async def test_no_log_holds_a_token_at_any_level(server, tokens, caplog, private_key):
    with caplog.at_level(logging.DEBUG):
        await asked(vertex())
    assert "ya29" not in caplog.text
    assert private_key.splitlines()[3] not in caplog.text


# The express mode, addresses and what is lacking.


async def test_a_key_of_the_express_mode_needs_no_project(server, tokens, monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    assert (await asked(vertex())).text == "ok"
    assert (
        tokens.issued == 1
    )  # the project goes before the key of the environment, as in Google's own library
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    monkeypatch.delenv("GOOGLE_CLOUD_LOCATION")
    assert (await asked(vertex(), streamed=True)).text == "ok"
    headers = server.received[-1].headers
    assert headers[":path"].startswith("/v1/publishers/google/models/gemini-2.5-flash:")
    assert headers["x-goog-api-key"] == KEY
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, "https://aiplatform.googleapis.com/v1/publishers/google"),
        ({"GOOGLE_CLOUD_PROJECT": "p"}, "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google"),
        ({"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "us-central1"},
         "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers/google"),
        ({"GOOGLE_CLOUD_PROJECT": "example.com:p", "GOOGLE_CLOUD_LOCATION": "eu"},
         "https://aiplatform.eu.rep.googleapis.com/v1/projects/example.com:p/locations/eu/publishers/google"),
        ({"GOOGLE_VERTEX_BASE_URL": "https://gate.example/v1/"}, "https://gate.example/v1/publishers/google"),
        ({"GOOGLE_CLOUD_PROJECT": "p/../q"}, None),
        ({"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "evil.example/#"}, None),
    ],
)  # fmt: skip
def test_the_address_is_that_of_the_project_and_its_location(env, url):
    assert vertex_url(env) == url


def test_what_is_lacking_is_named(server, monkeypatch):
    with pytest.raises(ConfigError, match="GOOGLE_CLOUD_LOCATION"):
        named_model("vertex/gemini-3-pro", env={"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "a/b"})
    with pytest.raises(MissingKeyError, match="GOOGLE_CLOUD_PROJECT"):
        named_model("vertex/gemini-3-pro", env={})
    monkeypatch.setattr(system, "find_spec", lambda _: None)
    with pytest.raises(MissingKeyError, match=r"rlm_jupyter\[vertex\]"):
        vertex()
    with pytest.raises(MissingKeyError, match=r"rlm_jupyter\[vertex\]"):
        GeminiChat("gemini-3-pro", provider="vertex")


def test_the_prices_are_those_of_google():
    model = named_model("vertex/gemini-2.5-flash", api_key=KEY, env={})
    assert model.price == named_model("gemini/gemini-2.5-flash", api_key=KEY, env={}).price is not None


def test_no_part_of_the_credentials_is_in_an_agents_kernel(server):
    server.script = lambda _: cell("import os\nFINAL(str(dict(os.environ)))")
    with RLM(model=vertex(), limits=limits(), log_dir=None, cache=False).run("root") as run:
        seen = run.raise_for_error().value
    assert "ya29" not in seen
    assert "GOOGLE_" not in seen
