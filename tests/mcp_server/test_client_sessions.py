"""What clients hold, and the words they are told: sessions end with time, and no path of the machine is in an answer."""

import pytest

from rlm_jupyter.mcp_server import client_sessions
from rlm_jupyter.mcp_server.audit_log import AuditLog
from rlm_jupyter.mcp_server.client_sessions import (
    IDLE_SECONDS,
    MOST_SESSIONS,
    MOST_SOURCES,
    ClientSession,
    ClientSessions,
)
from rlm_jupyter.mcp_server.hidden_paths import without_any_path, without_paths
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.mcp_server.shared_roots import SharedRoots


@pytest.fixture
def roots(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "a.txt").write_text("a\n")
    return SharedRoots([tmp_path / "shared"])


def test_a_session_without_requests_ends_and_closes_what_it_holds(roots):
    now = [0.0]
    sessions = ClientSessions(clock=lambda: now[0])
    file = roots.open("a.txt")
    handle = sessions.of("one", "s").add_source(file)
    assert sessions.of("one", "s").source(handle) is file
    now[0] = IDLE_SECONDS - 1
    sessions.of("one", "s")
    now[0] = 2 * IDLE_SECONDS
    with pytest.raises(RequestRefusedError):
        sessions.of("one", "s").source(handle)
    assert file.closed


def test_many_sessions_of_a_client_end_its_own_oldest_one_and_no_other_clients(roots):
    now = [0.0]
    sessions = ClientSessions(clock=lambda: now[0])
    other = sessions.of("other", "s")
    first = sessions.of("one", "0")
    for number in range(1, MOST_SESSIONS + 1):
        now[0] += 1
        sessions.of("one", str(number))
    assert sessions.of("other", "s") is other
    assert sessions.of("one", "0") is not first


def test_a_session_has_so_many_sources(roots):
    session = ClientSession()
    handles = {session.add_source(roots.open("a.txt")) for _ in range(MOST_SOURCES)}
    assert len(handles) == MOST_SOURCES
    with pytest.raises(RequestRefusedError, match="close"):
        session.add_source(roots.open("a.txt"))
    assert len({client_sessions.new_id("src") for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "path",
    ["/home/me/x.txt", "/tmp/rlm-123/file", "`/usr/lib/python3/a.py`", "('/a/b')", "C:\\Users\\me\\x.txt"],
)
def test_messages_of_the_machine_have_no_absolute_path(path):
    told = without_any_path(f"It failed at {path}: see https://example.org/a/b, 1/2 and and/or.")
    assert "(path)" in told
    assert not any(part in told for part in ("home", "tmp", "usr", "Users"))
    assert "https://example.org/a/b, 1/2 and and/or." in told


def test_known_paths_are_replaced_wherever_they_stand():
    known = [("/data", "(root)"), ("/data/a.txt", "src_1")]
    told = {"/data/a.txt": ["at /data/a.txt", {"x": "/data/b.txt"}, 5, None]}
    assert without_paths(told, known) == {"src_1": ["at src_1", {"x": "(root)/b.txt"}, 5, None]}


def test_an_audit_log_that_cannot_be_written_stops_all_service(tmp_path):
    log = AuditLog(tmp_path / "deep" / "audit.jsonl", lambda text: text.replace("secret", "«redacted»"))
    log.write("s", "ask", "ok", question="the secret" + "x" * 100_000, nested={"a": [["secret"] * 1000] * 5})
    text = log.path.read_text()
    assert "secret" not in text
    assert len(text) < 60_000
    log.close()
    with pytest.raises(RequestRefusedError, match="audit"):
        log.write("s", "ask", "ok")
