"""What `rlm-jupyter serve` must not do: who has no token, other sites' pages, other files, more than is allowed."""

import base64
import json
from pathlib import Path

import httpx
import pytest
from openai_server import OpenAIServer
from scripts import cell
from web_server_parts import TOKEN, client, ended, served

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.web_server.named_sources import HandedFiles, NamedSources


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    (folder / "notes.txt").write_text("one\n")
    (folder / "other.txt").write_text("not shared\n")
    with (
        OpenAIServer(lambda request: cell("print(context)\nFINAL(str(context))")) as model,
        served(model, f"notes={folder / 'notes.txt'}") as (address, _),
    ):
        yield address, folder


PATHS = [
    "/",
    "/page.js",
    "/sources",
    "/runs",
    "/runs/run_aaaaaaaaaaaaaaaa",
    "/runs/run_aaaaaaaaaaaaaaaa/events",
    "/runs/run_aaaaaaaaaaaaaaaa/page",
    "/v1/models",
    "/elsewhere",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Cookie": "rlm_jupyter_session=guessed"},
        {"Cookie": "rlm_jupyter_session="},
    ],
)
def test_without_the_token_nothing_is_served(server, path, headers):
    response = httpx.get(server[0].rstrip("/") + path, headers=headers)
    assert response.status_code == 401
    assert "notes" not in response.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
    ],
)
def test_other_sites_are_not_served_even_with_the_token(server, headers):
    with client(server[0], **headers) as asking:
        assert asking.get("/sources").status_code == 403
        assert asking.post("/runs", json={"question": "Q?"}).status_code == 403


def test_a_cookie_is_enough_for_a_page_of_this_server_alone(server):
    address = server[0]
    origin = address.rstrip("/")
    with httpx.Client(base_url=address) as browser:
        assert browser.get("/", params={"token": "wrong"}).status_code == 401
        came = browser.get("/", params={"token": TOKEN})
        assert came.status_code == 302
        assert TOKEN not in came.headers["location"]
        told = came.headers["set-cookie"]
        assert "HttpOnly" in told
        assert "SameSite=Strict" in told
        assert TOKEN not in told
        assert browser.get("/sources").status_code == 200
        assert browser.post("/runs", json={}).status_code == 401  # no origin: no browser of today
        assert browser.post("/runs", json={}, headers={"Origin": "http://evil.example"}).status_code == 403
        assert browser.post("/runs", json={}, headers={"Origin": origin}).status_code == 400


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[]", "JSON object"),
        ("not json", "JSON object"),
        ('{"question": ' + "[" * 5000 + "]" * 5000 + "}", "JSON object"),
        ('{"question": ""}', "`question`"),
        ('{"question": 3}', "`question`"),
        (json.dumps({"question": "x" * 16_001}), "`question`"),
        ('{"question": "Q?", "sources": ["other"]}', "There is no source `other`. Sources: `notes`."),
        ('{"question": "Q?", "sources": ["/etc/passwd"]}', "There is no source"),
        ('{"question": "Q?", "sources": "notes"}', "list of texts"),
        ('{"question": "Q?", "files": {"../a": "eA=="}}', "no name of a file"),
        ('{"question": "Q?", "files": {"a/b": "eA=="}}', "no name of a file"),
        ('{"question": "Q?", "files": {".hidden": "eA=="}}', "no name of a file"),
        ('{"question": "Q?", "files": {"a.txt": "no base64!"}}', "Base64"),
        ('{"question": "Q?", "schema": 3}', "`schema`"),
        ('{"question": "Q?", "max_cost": 0}', "`max_cost`"),
        ('{"question": "Q?", "max_cost": true}', "`max_cost`"),
        ('{"question": "Q?", "model": "gpt-5"}', "`model` is no field"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_words(server, body, words):
    with client(server[0]) as asking:
        response = asking.post("/runs", content=body)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        "x",
        [3],
        [{"role": "tool", "content": "x"}],
        [{"role": "assistant", "content": "x"}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/"}}]}],
    ],
)
def test_messages_that_are_none_are_refused(server, messages):
    with client(server[0]) as asking:
        response = asking.post("/v1/chat/completions", json={"model": "rlm", "messages": messages})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "request_refused"


@pytest.mark.parametrize(
    "path",
    ["/runs/../sources/x", "/runs/run_aaaaaaaaaaaaaaaa", "/page.html", "/static/page.html", "/..%2fcli.py"],
)
def test_what_is_not_there_is_not_found(server, path):
    with client(server[0]) as asking:
        assert asking.get(path).status_code == 404


def test_a_body_that_is_too_large_is_not_read(server):
    with client(server[0]) as asking, pytest.raises((httpx.HTTPError, AssertionError)):
        assert asking.post("/runs", content=b"x" * (33 << 20)).status_code < 400


def test_no_path_of_this_machine_is_in_an_answer(server):
    address, folder = server
    with client(address) as asking:
        run = asking.post("/runs", json={"question": "Q?", "sources": ["notes"]}).json()["run"]
        told = ended(asking, run)
        assert told["answer"] == "notes"
        seen = json.dumps(told) + asking.get(f"/runs/{run}/events").text
    assert str(folder) not in seen


def test_a_source_is_a_name_and_a_path_that_is_there(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    for given in ("a.txt", "1a=a.txt", "context=a.txt", f"a={tmp_path / 'none.txt'}", "a b=a.txt"):
        with pytest.raises(ConfigError):
            NamedSources([given])
    with pytest.raises(ConfigError, match="not `NAME=PATH`"):
        NamedSources([f"a={tmp_path / 'a.txt'}", f"a={tmp_path / 'a.txt'}"])
    with pytest.raises(ConfigError, match="cannot be shared"):
        NamedSources([f"home={Path.home()}"])


def test_files_of_requests_are_kept_apart_and_removed():
    handed = HandedFiles()
    one = handed.keep({"a.txt": b"1", "A.csv": b"2", "2024 sales.csv": b"3"})
    other = handed.keep({"a.txt": b"4"})
    assert list(one) == ["a", "a_2", "data_2024_sales"]
    assert one["a"].read_bytes() == b"1"
    assert other["a"].read_bytes() == b"4"
    assert one["a"].parent.stat().st_mode & 0o077 == 0
    handed.drop(one)
    assert not one["a"].exists()
    with pytest.raises(RequestRefusedError, match="at most 8 files"):
        handed.keep({f"{number}.txt": base64.b64decode("eA==") for number in range(9)})
    handed.close()
    assert not other["a"].exists()
