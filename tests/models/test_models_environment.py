"""Proxies and certificates that the environment names: what applies, and that what cannot work is named at once."""

import dataclasses
import socket
import ssl
import threading

import pytest

from rlm_jupyter import diagnostics
from rlm_jupyter.errors import ProviderUnreachableError
from rlm_jupyter.models.base import CompletionRequest
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.network_environment import (
    certificate_hint,
    certificate_problem,
    problems,
    proxy_for,
)
from rlm_jupyter.models.retry import RetryPolicy

KEY = "sk-test-0123456789abcdef"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
OTHERS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in (*PROXIES, *map(str.lower, PROXIES), *OTHERS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def complete(openai_server):
    made = []

    async def ask(**options):
        openai_server.script = lambda _: "ok"
        options = {
            "base_url": openai_server.url,
            "timeout": 20,
            "retry": RetryPolicy(first_wait=0.01),
            **options,
        }
        made.append(OpenAIChat("m", api_key=KEY, **options))
        return (await made[-1].complete(CompletionRequest([{"role": "user", "content": "hi"}]))).text

    yield ask
    for model in made:
        await model.aclose()


@pytest.fixture
def dead():
    """A port of loopback at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
@pytest.mark.parametrize(
    ("value", "way"),
    [
        ("socks5://127.0.0.1:{port}", "httpx[socks]"),
        ("socks5h://user:hunter22@127.0.0.1:{port}", "httpx[socks]"),
        ("http://127.0.0.1:{port}", "does not connect"),
        ("127.0.0.1:{port}", "does not connect"),
        ("http://user:hunter22@127.0.0.1:{port}", "does not connect"),
        ("socks9://127.0.0.1:{port}", "kind that is not known"),
        ("http://127.0.0.1:99999999", "not an address"),
        ("http://[::1", "not"),
    ],
)
async def test_a_proxy_that_cannot_work_is_named_at_once(
    openai_server, complete, monkeypatch, dead, name, value, way
):
    monkeypatch.setenv(name, value.format(port=dead))
    with pytest.raises(ProviderUnreachableError) as caught:
        await complete()
    told = str(caught.value)
    assert f"`{name}`" in told
    assert way in told
    assert "NO_PROXY=127.0.0.1" in told
    assert "hunter22" not in told
    assert not caught.value.retryable
    assert (openai_server.calls, caught.value.attempts) == (0, 1)


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "localhost, 127.0.0.0/8", "127.0.0.1:{port}"])
async def test_no_proxy_is_the_way_round_any_of_them(openai_server, complete, monkeypatch, dead, exempt):
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{dead}")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{dead}")
    monkeypatch.setenv("NO_PROXY", exempt.format(port=openai_server.port))
    assert await complete() == "ok"


async def test_a_proxy_that_works_is_used(openai_server, complete, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{openai_server.port}")
    assert await complete(base_url="http://models.example/v1") == "ok"
    assert openai_server.received[0].headers["host"] == "models.example"


async def test_a_proxy_of_the_other_scheme_does_not_matter(complete, monkeypatch, dead):
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://127.0.0.1:{dead}")
    assert await complete() == "ok"


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({}, "http://a.example/v1", None),
        ({"HTTP_PROXY": "p:1"}, "http://a.example/v1", ("HTTP_PROXY", "http://p:1")),
        ({"HTTP_PROXY": "p:1"}, "https://a.example/v1", None),
        (
            {"https_proxy": "http://p:1", "ALL_PROXY": "http://q:1"},
            "https://a.example",
            ("https_proxy", "http://p:1"),
        ),
        ({"ALL_PROXY": "http://q:1", "NO_PROXY": "example"}, "https://a.example", None),
        ({"ALL_PROXY": "http://q:1", "NO_PROXY": ".example"}, "https://a.example", None),
        ({"ALL_PROXY": "http://q:1", "NO_PROXY": "*.example"}, "https://a.example", None),
        (
            {"ALL_PROXY": "http://q:1", "no_proxy": "b.example, other"},
            "https://bb.example",
            ("ALL_PROXY", "http://q:1"),
        ),
        ({"ALL_PROXY": "http://q:1", "NO_PROXY": "10.0.0.0/8"}, "http://10.1.2.3:8000/v1", None),
        ({"ALL_PROXY": "http://q:1", "NO_PROXY": "::1"}, "http://[::1]:8000/v1", None),
        (
            {"ALL_PROXY": "http://q:1", "NO_PROXY": "a.example:8000"},
            "http://a.example:9000",
            ("ALL_PROXY", "http://q:1"),
        ),
        ({"ALL_PROXY": "  "}, "http://a.example", None),
    ],
)
def test_which_proxy_applies(variables, url, expected):
    found = proxy_for(url, variables)
    assert (found and dataclasses.astuple(found)) == expected


@pytest.mark.parametrize(
    ("name", "what"), [("SSL_CERT_FILE", "missing.pem"), ("SSL_CERT_FILE", "."), ("SSL_CERT_DIR", "missing")]
)
async def test_certificates_that_are_not_there_are_named_at_once(
    openai_server, complete, monkeypatch, tmp_path, name, what
):
    monkeypatch.setenv(name, str(tmp_path / what))
    with pytest.raises(ProviderUnreachableError, match=rf"`{name}` names the .*not there") as caught:
        await complete()
    assert str(tmp_path / what) in str(caught.value)
    assert (openai_server.calls, caught.value.attempts) == (0, 1)


async def test_a_file_without_certificates_is_named_at_once(openai_server, complete, monkeypatch, tmp_path):
    (tmp_path / "empty.pem").write_text("no certificates")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(ProviderUnreachableError, match=r"`SSL_CERT_FILE` names .* holds no certificates"):
        await complete()
    assert openai_server.calls == 0


def test_the_way_out_of_a_certificate_that_is_not_trusted_depends_on_what_is_set():
    assert "set `SSL_CERT_FILE`" in certificate_hint({})
    assert "`REQUESTS_CA_BUNDLE` is not read" in certificate_hint({"REQUESTS_CA_BUNDLE": "x"})
    assert "`SSL_CERT_FILE` says" in certificate_hint({"SSL_CERT_FILE": "x", "REQUESTS_CA_BUNDLE": "x"})
    assert certificate_problem({}) is None
    assert certificate_problem({"SSL_CERT_FILE": ssl.get_default_verify_paths().cafile or __file__}) is None


def test_the_doctor_tells_what_is_in_the_way(monkeypatch, dead, tmp_path):
    def told(**arguments):
        return [
            line
            for line in diagnostics.models({"model": "demo", **arguments})
            if line.startswith("Connection: ")
        ]

    assert told() == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{dead}")
    certificates, proxy = told()
    assert "`SSL_CERT_FILE`" in certificates
    assert "`ALL_PROXY`" in proxy
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("ALL_PROXY", f"http://user:hunter22@127.0.0.1:{dead}")
    (line,) = told(model="openai/m", base_url="http://models.example/v1", api_key=KEY)
    assert "`ALL_PROXY`" in line
    assert "NO_PROXY=models.example" in line
    assert "hunter22" not in line
    monkeypatch.setenv("NO_PROXY", "models.example")
    assert told(model="openai/m", base_url="http://models.example/v1", api_key=KEY) == []


def _accept(server):
    server.accept()[0].close()


def test_a_proxy_that_listens_is_no_problem(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=_accept, args=(server,))
        accepting.start()
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert list(problems("http://models.example/v1")) == []
        accepting.join()
