"""What a gateway may do wrong, and what may be wrong with the variables that lead to it: said, bounded, nothing left."""

import asyncio
import contextlib
import json
import re
import subprocess
import threading

import pytest
import pytest_asyncio
from gateway_faults import FaultyGateway
from kernel_parts import Answers, opened

from rlm_jupyter import RLM
from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.channels import gateway, websocket
from rlm_jupyter.kernels.launch.manager import check_launch
from rlm_jupyter.kernels.pool import KernelRequest
from rlm_jupyter.models import ScriptedModel

in_one_loop = pytest.mark.asyncio(loop_scope="module")
"""For tests with `fails`, whose pool belongs to one loop."""
SECRET = "planted-secret-0123456789"


@pytest.fixture
def faulty():
    made = []

    def make(*args, **options):
        made.append(FaultyGateway(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fails():
    """Starts a kernel that cannot start, in one pool for all; returns the message."""
    async with opened() as pool:

        async def start(kernel, told=None):
            tell = None if told is None else lambda event: told.append(event.text)
            with pytest.raises(KernelStartError) as caught:
                await pool.start(KernelRequest("run", "0", kernel, tell=tell), Answers())
            assert SECRET not in str(caught.value)
            return str(caught.value)

        yield start


# ---- variables of the environment


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HEADERS", f"X-Key: {SECRET}", "is not JSON"),
        ("HEADERS", "[" * 100_000, "is not JSON"),
        ("HEADERS", f'["{SECRET}"]', "is not a JSON object"),
        ("HEADERS", f'{{"X-Key": ["{SECRET}"]}}', "has no text, or one of several lines, for `X-Key`"),
        ("HEADERS", f'{{"X-Key": "{SECRET}\\r\\nHost: other"}}', "one of several lines"),
        ("HEADERS", f'{{"X-Key": "{SECRET}\u2028"}}', "one of several lines"),
        ("HEADERS", f'{{"X {SECRET}": "value"}}', "has a name that no HTTP header may have"),
        ("AUTH_TOKEN", f"{SECRET}\r\nX: y", "holds characters that no HTTP header may have"),
        ("AUTH_SCHEME", f"Bearer {SECRET}", "is not one word"),
        ("VALIDATE_CERT", "maybe", "is neither `true` nor `false`"),
        ("CA_CERTS", "/no/such/file", "names a file that cannot be read (No such file or directory)"),
        ("CA_CERTS", "/dev/null/x", "names a file that cannot be read"),
        ("CA_CERTS", __file__, "names a file that holds no certificates"),
        ("CLIENT_CERT", __file__, "do not hold a certificate and its key"),
        ("CLIENT_KEY", __file__, "is set, and `JUPYTER_GATEWAY_CLIENT_CERT` is not"),
        ("URL", f"http://[{SECRET}", "is not a URL such as"),
        ("URL", "http://host:99999", "is not a URL such as"),
        ("URL", "host:8888", "is not a URL such as"),
    ],
)  # fmt: skip
@in_one_loop
async def test_a_malformed_variable_is_named_before_anything_is_sent(fails, monkeypatch, name, value, says):
    monkeypatch.setenv(f"JUPYTER_GATEWAY_{name}", value)
    kernel = "gateway:python3" if name == "URL" else "gateway:https://127.0.0.1:9/python3"
    for message in (await fails(kernel), _said_at_the_start(kernel)):
        assert f"`JUPYTER_GATEWAY_{name}`" in message
        assert says in message
        assert "reached" not in message


def _said_at_the_start(kernel):
    with pytest.raises(KernelStartError) as caught:
        check_launch(kernel, "auto")
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["http://[::1/python3", "http://h:0/p", "http://h:x/p", "http://h /p", "http:///p"]
)
def test_a_name_that_is_no_url_is_said_to_be_none(name):
    assert "names no kernel of a gateway" in _said_at_the_start(f"gateway:{name}")


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(monkeypatch, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -passout pass:abcdef -subj /CN=h -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True, timeout=60)
    monkeypatch.setenv("JUPYTER_GATEWAY_CLIENT_CERT", str(certificate))
    monkeypatch.setenv("JUPYTER_GATEWAY_CLIENT_KEY", str(key))
    assert "without a password" in _said_at_the_start("gateway:https://127.0.0.1:9/python3")
    plain = f"openssl rsa -passin pass:abcdef -in {key} -out {key}"
    subprocess.run(plain.split(), check=True, capture_output=True, timeout=60)
    check_launch("gateway:https://127.0.0.1:9/python3", "auto")


@in_one_loop
async def test_headers_and_token_are_sent_and_a_blank_at_their_end_is_none(fails, faulty, monkeypatch):
    monkeypatch.setenv("JUPYTER_GATEWAY_HEADERS", '{"X-Key": "välue"}')
    monkeypatch.setenv("JUPYTER_GATEWAY_AUTH_TOKEN", f"{SECRET}\n")
    monkeypatch.setenv("JUPYTER_GATEWAY_AUTH_SCHEME", "Bearer")
    server = faulty({("POST", "/api/kernels"): (500, {})})
    await fails(server.kernel)
    assert server.headers["Authorization"] == f"Bearer {SECRET}"
    assert server.headers["X-Key"] == "välue"


# ---- what it answers


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((500, {"message": "no room\nleft", "reason": "quota"}), r"\(HTTP 500\).*It says: quota\. no room left"),
        ((503, "try later"), r"\(HTTP 503\).*It says: try later"),
        ((502, "<html><h1>Bad gateway</h1></html>"), r"\(HTTP 502\); its own log says why\.$"),
        ((500, f"your token {SECRET} is odd"), r"your token «redacted» is odd"),
        ((500, "\x1b[31mred\x1b[0m" + "x" * 100_000), r"It says: \[31mred \[0mx{200,300}…$"),
        ((500, b"\xff\xfe\x00"), r"\(HTTP 500\)"),
        ((403, {"message": "Forbidden by policy 7"}), r"refuses us \(HTTP 403\).*It says: Forbidden by policy 7"),
        ((302, ""), r"sends us elsewhere \(HTTP 302\)"),
        ((200, "<html>log in</html>"), "answered what no Jupyter server would: it is not JSON"),
        ((200, "[" * 50_000), "it is not JSON"),
        ((201, {}), "a kernel without an id"),
        ((201, {"id": 7}), "a kernel without an id"),
        ((201, {"id": "../../x"}), "a kernel without an id"),
        ((201, ["k"]), "a kernel without an id"),
        ((201, "x" * (5 << 20)), "cannot be reached|HTTP 599"),
    ],
    ids=range(15),
)  # fmt: skip
@in_one_loop
async def test_an_answer_that_is_an_error_is_told_with_what_it_says(fails, faulty, monkeypatch, answer, says):
    monkeypatch.setenv("JUPYTER_GATEWAY_AUTH_TOKEN", SECRET)
    message = await fails(faulty({("POST", "/api/kernels"): answer}).kernel)
    assert re.search(says, message), message
    assert "\x1b" not in message
    assert len(message) < 1000


@in_one_loop
async def test_a_redirection_does_not_carry_the_token_elsewhere(fails, faulty, monkeypatch):
    monkeypatch.setenv("JUPYTER_GATEWAY_AUTH_TOKEN", SECRET)
    other = faulty()

    async def elsewhere(handler):
        handler.set_header("Location", f"{other.url}/api/kernels")
        return 307, ""

    await fails(faulty({("POST", "/api/kernels"): elsewhere}).kernel)
    assert other.asked == []


@in_one_loop
async def test_a_gateway_that_accepts_and_says_nothing_is_given_up_in_time(fails, monkeypatch):
    monkeypatch.setattr(gateway, "_START_SECONDS", 1.0)
    held = []
    server = await asyncio.start_server(lambda *streams: held.append(streams), "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    try:
        assert "cannot be reached" in await fails(f"gateway:http://127.0.0.1:{port}/python3")
    finally:
        server.close()
        for _, writer in held:
            writer.close()


@in_one_loop
async def test_a_gateway_that_accepts_and_closes_at_once_is_said_to_be_out_of_reach(fails):
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    try:
        assert "cannot be reached" in await fails(f"gateway:http://127.0.0.1:{port}/python3")
    finally:
        server.close()


# ---- the websocket


@pytest.mark.parametrize("first", ["nothing", "a status"])
@in_one_loop
async def test_a_websocket_that_closes_at_once_is_not_tried_for_ever(fails, faulty, first):
    status = {
        "channel": "iopub",
        "header": {"msg_type": "status"},
        "metadata": {},
        "content": {"execution_state": "idle"},
    }

    def on_open(socket):
        if first == "a status":
            socket.write_message(json.dumps(status))
        socket.close()

    server = faulty(on_open=on_open)
    message = await fails(server.kernel)
    assert "its gateway broke off the connection to it again and again" in message
    assert "sandbox" not in message
    assert server.sockets == websocket._TRIES
    assert server.asked[-1] == "DELETE /api/kernels/k-1"
    assert await server.left() == []


async def test_a_websocket_that_is_refused_is_not_tried_for_ever(monkeypatch):
    monkeypatch.setattr(websocket, "_TRIES", 3)
    tried, lost = [], asyncio.Event()

    async def refused():
        tried.append(1)
        raise OSError("refused")

    client = websocket.WebsocketClient(refused, lambda _: None, lost.set)
    client.start_channels()
    await asyncio.wait_for(lost.wait(), 60)
    assert len(tried) == 3


@in_one_loop
async def test_a_websocket_whose_other_end_is_gone_without_a_word_is_noticed(fails, faulty, monkeypatch):
    """As behind a firewall that forgets connections: what is written is acknowledged, and nobody reads it."""
    monkeypatch.setattr(gateway, "_PING_SECONDS", 0.3)
    monkeypatch.setattr(websocket, "_STEADY_SECONDS", 60.0)
    monkeypatch.setattr(websocket, "_TRIES", 2)  # tornado takes 5 s to close a websocket that does not answer

    def on_open(socket):
        # tornado is not told, and goes on to wait for what this loop would hear
        asyncio.get_running_loop().remove_reader(socket.ws_connection.stream.fileno())

    server = faulty(on_open=on_open)
    assert "again and again" in await fails(server.kernel)
    assert server.sockets == websocket._TRIES
    assert await server.left() == []


# ---- its kernels


@in_one_loop
async def test_a_kernel_that_cannot_be_deleted_is_named(fails, faulty, monkeypatch):
    monkeypatch.setattr(gateway, "_TRY_AGAIN", (0.05,))
    monkeypatch.setattr(websocket, "_TRIES", 1)
    server = faulty({("DELETE", "/api/kernels/k-1"): (500, {"message": "busy with it"})})
    told = []
    await fails(server.kernel, told)
    assert server.asked.count("DELETE /api/kernels/k-1") == 2
    (text,) = told
    assert text.startswith("The kernel `k-1` may still run: the gateway at `127.0.0.1:")
    assert "busy with it" in text
    assert f"`DELETE {server.url}/api/kernels/k-1`" in text
    assert await server.left() == []


@in_one_loop
async def test_a_gateway_that_hangs_at_the_end_holds_nobody_up_and_its_kernel_is_named(
    fails, faulty, monkeypatch
):
    monkeypatch.setattr(gateway, "_END_SECONDS", 0.5)
    monkeypatch.setattr(websocket, "_TRIES", 1)

    async def hang(_):
        await asyncio.sleep(60)

    server = faulty({("DELETE", "/api/kernels/k-1"): hang})
    told = []
    await fails(server.kernel, told)
    assert "did not answer in time" in told[0]
    assert await server.left() == []


@in_one_loop
async def test_a_kernel_that_is_gone_already_is_not_complained_about(fails, faulty, monkeypatch):
    monkeypatch.setattr(websocket, "_TRIES", 1)
    server = faulty({("DELETE", "/api/kernels/k-1"): (404, "")})
    told = []
    await fails(server.kernel, told)
    assert told == []
    assert await server.left() == []


async def test_a_kernel_that_nobody_waits_for_any_more_is_deleted_when_it_has_started(faulty):
    begun, go = threading.Event(), threading.Event()

    async def slow(_):
        begun.set()
        while not go.is_set():
            await asyncio.sleep(0.01)
        return 201, {"id": "k-1"}

    server = faulty({("POST", "/api/kernels"): slow})
    async with opened() as pool:
        starting = asyncio.ensure_future(pool.start(KernelRequest("run", "0", server.kernel), Answers()))
        await asyncio.to_thread(begun.wait, 30)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        go.set()
        await asyncio.to_thread(server.until, "DELETE /api/kernels/k-1")


async def test_the_end_of_the_pool_waits_for_kernels_that_were_asked_for(faulty):
    begun = threading.Event()

    async def slow(_):
        begun.set()
        await asyncio.sleep(0.5)
        return 201, {"id": "k-1"}

    server = faulty({("POST", "/api/kernels"): slow})
    async with opened() as pool:
        starting = asyncio.ensure_future(pool.start(KernelRequest("run", "0", server.kernel), Answers()))
        await asyncio.to_thread(begun.wait, 30)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
    assert "DELETE /api/kernels/k-1" in server.asked
    assert not gateway._late


def test_the_tree_and_the_log_name_a_kernel_that_could_not_be_deleted(faulty, monkeypatch, tmp_path):
    monkeypatch.setattr(gateway, "_TRY_AGAIN", ())
    monkeypatch.setattr(websocket, "_TRIES", 1)
    server = faulty({("DELETE", "/api/kernels/k-1"): (500, "")})
    rlm = RLM(
        model=ScriptedModel(["```repl\nFINAL(1)\n```"]), kernel=server.kernel, cache=False, log_dir=tmp_path
    )
    run = rlm.start("any").wait(60)
    run.close()
    assert run.status == "failed"
    assert any("`k-1` may still run" in text for text in run.tree.agents["0"].notices)
    assert "`k-1` may still run" in run.log_path.read_text()
