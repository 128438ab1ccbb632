"""Connections of agents: to hosts that the user named, by the engine; nothing else, however code tries."""

import asyncio
import errno
import http.server
import socket
import ssl
import subprocess
import textwrap
import threading

import pytest
import pytest_asyncio
from kernel_parts import Answers, opened, shown, started
from programs import needs_program

from rlm_jupyter.guest.confinement import landlock_seccomp
from rlm_jupyter.kernels.bridge.connection_broker import LOOK_UPS_AT_ONCE, Broker, may_reach
from rlm_jupyter.kernels.bridge.requests import BridgeError
from rlm_jupyter.kernels.pool import KernelRequest

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not landlock_seccomp.landlock_version(), reason="this system has no Landlock"),
]
TABLE = b"a,b\n1,2\n3,4\n"


class Server(http.server.ThreadingHTTPServer):
    """A web server on loopback that remembers who came.

    Attributes:
        asked: the paths.
        came: connections, those that said nothing included.
    """

    def __init__(self, certificate=None):
        self.asked, self.came = [], 0
        super().__init__(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def verify_request(self, *_):
        self.came += 1
        return True

    def end(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(TABLE)))
        self.end_headers()
        self.wfile.write(TABLE)

    def log_message(self, *_):
        pass


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool():
    async with opened() as pool:
        yield pool


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.end()


@pytest.fixture(scope="module")
def other():
    """A server that nobody named."""
    server = Server()
    yield server
    server.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(pool, server):
    """A kernel that may connect to one server, by its address and by its name."""
    told = []
    hosts = [f"127.0.0.1:{server.server_port}", f"localhost:{server.server_port}"]
    async with started(pool, sandbox={"net": hosts}, tell=told.append) as kernel:
        kernel.told = told
        yield kernel


async def attempt(kernel, code, **facts):
    """Run code with `{port}` and the like filled in; give the result."""
    text = textwrap.dedent(code).strip()
    for name, value in facts.items():
        text = text.replace(f"<{name}>", str(value))
    return await kernel.execute(text, seconds=60)


WAYS = {
    "urllib": "import urllib.request; urllib.request.urlopen('http://<host>:<port>/x').read()",
    "http-client": """
        import http.client
        c = http.client.HTTPConnection("<host>", <port>, timeout=10)
        c.request("GET", "/x"); a = c.getresponse().read()
        c.request("GET", "/x"); assert c.getresponse().read() == a; c.close(); a""",
    "requests": "import requests; requests.get('http://<host>:<port>/x', timeout=10).content",
    "httpx": "import httpx; httpx.get('http://<host>:<port>/x').content",
    "httpx-async": """
        import asyncio, httpx
        async with httpx.AsyncClient() as c:
            got = await asyncio.gather(*(c.get("http://<host>:<port>/x") for _ in range(10)))
        assert len({g.content for g in got}) == 1; got[0].content""",
    "asyncio": """
        import asyncio
        r, w = await asyncio.open_connection("<host>", <port>)
        w.write(b"GET /x HTTP/1.0\\r\\n\\r\\n"); a = await r.read(); w.close(); a[-12:]""",
    "socket": """
        import socket
        with socket.create_connection(("<host>", <port>), timeout=10) as s:
            assert s.getpeername()[:2] == ("127.0.0.1", <port>) and s.gettimeout() == 10
            s.sendall(b"GET /x HTTP/1.0\\r\\n\\r\\n"); a = s.makefile("rb").read()
        a[-12:]""",
    "connect-ex-and-options": """
        import socket
        s = socket.socket(); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); s.bind(("", 0))
        assert s.getsockname() == ("0.0.0.0", 0) and s.connect_ex(("<host>", <port>)) == 0
        assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        s.sendall(b"GET /x HTTP/1.0\\r\\n\\r\\n"); a = s.makefile("rb").read(); s.close(); a[-12:]""",
    "threads": """
        import concurrent.futures, urllib.request
        def get(_): return urllib.request.urlopen("http://<host>:<port>/x").read()
        with concurrent.futures.ThreadPoolExecutor(8) as p: got = set(p.map(get, range(16)))
        assert len(got) == 1; got.pop()""",
    "pandas": "import pandas as pd; pd.read_csv('http://<host>:<port>/x').to_csv(index=False).encode()",
}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("way", WAYS)
async def test_code_reaches_a_named_host(kernel, server, way, host):
    before = len(server.asked)
    result = await attempt(kernel, WAYS[way], host=host, port=server.server_port)
    assert result.output.strip() == repr(TABLE), result
    assert len(server.asked) > before


@pytest.mark.parametrize("way", [way for way in WAYS if way != "connect-ex-and-options"])
async def test_another_port_of_the_host_is_refused_with_the_next_step(kernel, other, way):
    result = await attempt(kernel, WAYS[way], host="127.0.0.1", port=other.server_port)
    assert result.status == "error"
    assert other.came == 0
    assert "The sandbox does not let agents connect" in result.traceback or way.startswith("httpx")


async def test_each_connection_is_told_and_never_what_went_over_it(kernel, server, other):
    del kernel.told[:]
    await attempt(
        kernel, WAYS["urllib"].replace("/x", "/secret-path"), host="127.0.0.1", port=server.server_port
    )
    await attempt(kernel, WAYS["urllib"], host="127.0.0.1", port=other.server_port)
    await attempt(kernel, WAYS["urllib"], host="example.org", port=80)
    assert [(one.port, one.ok) for one in kernel.told] == [
        (server.server_port, True),
        (other.server_port, False),
        (0, False),
    ]
    assert kernel.told[2].host == "example.org"
    assert "secret" not in str(kernel.told)


ROUND = {
    "raw-socket": "import _socket; _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)",
    "system-call": """
        import ctypes
        number = ctypes.CDLL(None, use_errno=True).syscall(<nr_socket>, 2, 1, 0)
        if number < 0: raise OSError(ctypes.get_errno(), "")""",
    "the-original-method": """
        import socket, _socket
        s = socket.socket(); _socket.socket.connect(s, ("127.0.0.1", <port>))""",
    "a-passed-connection-used-again": """
        import ctypes, os, socket, struct
        s = socket.create_connection(("127.0.0.1", <open>))
        c = ctypes.CDLL(None, use_errno=True)
        c.connect(s.fileno(), bytes(16), 16)  # AF_UNSPEC ends the connection
        if c.connect(s.fileno(), struct.pack("<H", 2) + struct.pack(">H", <port>) + bytes([127, 0, 0, 1]) + bytes(8), 16):
            raise OSError(ctypes.get_errno(), "")""",
    "fast-open": """
        import socket
        s = socket.create_connection(("127.0.0.1", <open>))
        s.shutdown(socket.SHUT_RDWR)
        s.sendto(b"x", 0x20000000, ("127.0.0.1", <port>))""",
    "listen": """
        import socket, _socket
        s = socket.create_connection(("127.0.0.1", <open>))
        _socket.socket.listen(s, 1)""",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', <port>))",
    "a-server": "import socket; socket.create_server(('127.0.0.1', 0))",
    "a-forged-request": """
        import sys
        link = sys.modules["_rlm.guest.agent_side"]._guests[-1].link
        reply = link.submit("connect", {"host": "127.0.0.1", "port": <port>, "net": "all", "agent": "0", "named": True})[1].result(60)
        if reply.error: raise OSError(1, str(reply.error))""",
    "a-name-in-disguise": """
        import sys
        link = sys.modules["_rlm.guest.agent_side"]._guests[-1].link
        for host in ("localhost\\0.example.org", "127.1", "0x7f.0.0.1", "2130706433", "LOCALHOST.", "[::1]", ["localhost"], None):
            reply = link.submit("connect", {"host": host, "port": <port>})[1].result(60)
            assert reply.error, host
        raise OSError(1, "none worked")""",
    "a-program": """
        import subprocess, sys
        code = "import socket; socket.create_connection(('127.0.0.1', <open>), 2)"
        if subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode: raise OSError(1, "")""",
    "a-child": """
        import os, socket
        pid = os.fork()
        if not pid:
            try: socket.create_connection(("127.0.0.1", <open>))
            except PermissionError: os._exit(7)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7: raise PermissionError(1, "")""",
}


@pytest.mark.parametrize("way", ROUND)
async def test_going_round_the_broker_reaches_nothing(kernel, server, other, way):
    column = landlock_seccomp.ARCHITECTURES[landlock_seccomp.platform.machine()][0]
    facts = {
        "port": other.server_port,
        "open": server.server_port,
        "nr_socket": landlock_seccomp.ON_SOCKETS[0][column],
    }
    result = await attempt(kernel, ROUND[way], **facts)
    assert result.error_name in {"PermissionError", "OSError", "BrokenPipeError"}, result
    assert other.came == 0
    assert await shown(kernel, "1 + 1") == "2"


@pytest.mark.parametrize("code", ["socket.create_connection(('example.org', 80))", "socket.socket()"])
async def test_without_net_one_sentence_says_what_to_do(pool, code):
    async with started(pool) as kernel:
        result = await kernel.execute(f"import socket; {code}", seconds=60)
        assert "The sandbox has no network" in result.error_value
        assert "--net HOST" in result.error_value


async def test_a_connection_that_is_refused_or_slow_is_the_error_that_code_expects(pool):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = silent.getsockname()[1], closed.getsockname()[1]
        async with started(pool, sandbox={"net": ["127.0.0.1"]}) as kernel:
            code = f"import socket; socket.create_connection(('127.0.0.1', {ports[1]}))"
            assert (await kernel.execute(code, seconds=60)).error_name == "ConnectionRefusedError"
            code = f"import socket; s = socket.create_connection(('127.0.0.1', {ports[0]})); s.settimeout(0.2); s.recv(1)"
            assert (await kernel.execute(code, seconds=60)).error_name == "TimeoutError"


async def test_a_cell_that_waits_for_a_connection_can_be_interrupted(pool, monkeypatch):
    async def never(self, *_, **__):
        await asyncio.sleep(600)

    monkeypatch.setattr(Broker, "_connected", never)
    async with started(pool, sandbox={"net": "127.0.0.1"}) as kernel:
        cell = asyncio.ensure_future(
            kernel.execute("import socket; socket.create_connection(('127.0.0.1', 9))", seconds=60)
        )
        await asyncio.sleep(0.5)
        await kernel.interrupt()
        assert (await cell).status == "interrupted"
        assert await shown(kernel, "1 + 1") == "2"


@needs_program("openssl")
async def test_tls_works_over_a_passed_connection(pool, tmp_path):
    certificate = tmp_path / "both.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(  # noqa: ASYNC221 - nothing else waits
        [*command.split(), "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        check=True,
        capture_output=True,
    )
    certificate.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "cert.pem").read_bytes())
    secure = Server(certificate)
    try:
        box = {"net": f"localhost:{secure.server_port}", "read": tmp_path / "cert.pem"}
        async with started(pool, sandbox=box) as kernel:
            for code in (
                "import urllib.request; urllib.request.urlopen('<url>', context=trust).read()",
                "import httpx; httpx.get('<url>', verify=trust).content",
                "import requests; requests.get('<url>', verify='<file>').content",
                "import httpx\nasync with httpx.AsyncClient(verify=trust) as c: a = (await c.get('<url>')).content\na",
            ):
                url = f"https://localhost:{secure.server_port}/x"
                trust = "import ssl; trust = ssl.create_default_context(cafile='<file>')\n"
                result = await attempt(kernel, trust + code, url=url, file=tmp_path / "cert.pem")
                assert result.output.strip() == repr(TABLE), result
    finally:
        secure.end()


@pytest.mark.parametrize("way", [pytest.param("bwrap", marks=needs_program("bwrap")), "stock"])
async def test_it_works_in_bubblewrap_and_in_a_stock_kernel(server, way):
    async with opened(launch="stock" if way == "stock" else "auto") as pool:
        box = {"mode": "bwrap" if way == "bwrap" else "auto", "net": f"127.0.0.1:{server.server_port}"}
        async with started(pool, sandbox=box) as kernel:
            result = await attempt(kernel, WAYS["urllib"], host="127.0.0.1", port=server.server_port)
            assert result.output.strip() == repr(TABLE), result


async def test_a_kernel_that_can_be_passed_nothing_says_so(server):
    box = {"net": f"127.0.0.1:{server.server_port}"}
    async with opened(bridge="control") as pool, started(pool, sandbox=box) as kernel:
        assert kernel.confinement["net"] == []
        assert "net: no connection can be passed" in kernel.confinement["missing"][0]
        result = await attempt(kernel, WAYS["urllib"], host="127.0.0.1", port=server.server_port)
        assert "The sandbox has no network" in result.traceback


# ------------------------------------------------------------------------------------- which addresses, where


PUBLIC, METADATA = "93.184.216.34", "169.254.169.254"


@pytest.mark.parametrize(
    ("address", "name", "named", "reached"),
    [
        (PUBLIC, "example.org", True, True),
        (PUBLIC, "example.org", False, True),
        ("2606:2800:220:1::1", "example.org", False, True),
        ("127.0.0.1", "example.org", True, False),  # a name that somebody else points here
        ("127.0.0.1", "127.0.0.1", True, True),
        ("127.0.0.1", "127.0.0.1", False, False),
        ("127.0.0.1", "localhost", True, True),
        ("127.0.0.1", "localhost", False, False),
        ("::1", "localhost", True, True),
        ("10.0.0.5", "intranet.example", True, True),
        ("10.0.0.5", "evil.example", False, False),
        ("192.168.1.1", "192.168.1.1", True, True),
        ("100.64.1.1", "evil.example", False, False),
        ("fd12::1", "evil.example", False, False),
        (METADATA, "metadata.example", True, False),
        (METADATA, METADATA, True, True),
        ("100.100.100.200", "metadata.example", True, False),
        ("168.63.129.16", "metadata.example", False, False),
        ("fe80::1", "x.example", True, False),
        ("0.0.0.0", "0.0.0.0", True, False),
        ("::", "::", True, False),
        ("224.0.0.1", "224.0.0.1", True, False),
        ("255.255.255.255", "255.255.255.255", True, False),
        ("::ffff:127.0.0.1", "evil.example", True, False),
        ("::ffff:10.0.0.1", "evil.example", False, False),
        (f"::ffff:{METADATA}", "evil.example", True, False),
        ("64:ff9b::7f00:1", "evil.example", False, False),
        ("64:ff9b::a9fe:a9fe", "evil.example", True, False),
        (f"64:ff9b::{PUBLIC}", "example.org", False, True),
        ("2002:7f00:1::", "evil.example", False, False),
    ],
)
async def test_private_and_local_addresses_are_for_who_names_them(address, name, named, reached):
    import ipaddress

    assert may_reach(ipaddress.ip_address(address), name, named=named) is reached


async def test_the_address_of_this_machine_is_not_the_public_network(monkeypatch):
    """Servers that listen on all addresses, such as a notebook's, are reached by the public one too."""
    import ipaddress

    class Probe:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def connect(self, _):
            pass

        def getsockname(self):
            return (PUBLIC, 1)

    monkeypatch.setattr("rlm_jupyter.kernels.bridge.connection_broker.socket.socket", Probe)
    assert may_reach(ipaddress.ip_address(PUBLIC), "example.org", named=False) is False
    assert may_reach(ipaddress.ip_address("93.184.216.35"), "example.org", named=False) is True


@pytest.mark.parametrize("net", ["all", ("*.example.org",), ("rebound.example.org",)])
async def test_a_name_that_is_pointed_to_loopback_is_refused(monkeypatch, other, net):
    """The engine looks at the address that it connects to, whatever it was when it was looked up before."""

    def pointed(_host, _port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", pointed)
    told = []
    broker = Broker([net] if isinstance(net, str) else net, told.append)
    with pytest.raises(BridgeError, match="only where that very address is named"):
        await broker.connect({"host": "rebound.example.org", "port": other.server_port})
    assert other.came == 0
    assert told[0].ok is False


@pytest.mark.parametrize(
    "body", [{}, {"host": "a.org"}, {"host": "a.org", "port": "80"}, {"host": "a.org", "port": True}]
)
async def test_a_request_that_is_none_is_refused(body):
    with pytest.raises(BridgeError):
        await Broker(["all"], lambda _: None).connect(body)


# ------------------------------------------------------------------------------------- a name service that is slow


class SlowNames:
    """Answers no look-up of a name before it is told to.

    Attributes:
        asked: the names, in order.
        most: how many were looked up at the same time.
    """

    def __init__(self):
        self.asked, self.most, self.now = [], 0, 0
        self._lock, self._go = threading.Lock(), threading.Event()

    def __call__(self, host, _port, **_):
        with self._lock:
            self.asked.append(host)
            self.now += 1
            self.most = max(self.most, self.now)
        self._go.wait(600)  # longer than a test may take: without an answer none comes
        with self._lock:
            self.now -= 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, 0))]

    def answer(self):
        self._go.set()


@pytest.fixture
def slow_names(monkeypatch):
    slow = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield slow
    slow.answer()


async def settled(condition):
    async with asyncio.timeout(180):
        while not condition():
            await asyncio.sleep(0.01)


async def test_thousands_of_slow_look_ups_keep_neither_kernels_from_ending_nor_values_from_moving(
    pool, slow_names, tmp_path, monkeypatch
):
    from rlm_jupyter.kernels.blocking import in_thread
    from rlm_jupyter.values.store import Buffer, Store

    monkeypatch.setattr("rlm_jupyter.kernels.bridge.connection_broker.SECONDS", 600.0)  # none ends meanwhile
    brokers = [Broker(["*.example.org"], lambda _: None) for _ in range(2)]
    asked = [
        asyncio.create_task(broker.resolve({"host": f"{number}.example.org"}))
        for number in range(1000)
        for broker in brokers
    ]
    try:
        await settled(lambda: slow_names.now == 2 * LOOK_UPS_AT_ONCE)
        kernel = await pool.start(KernelRequest(run="r", agent="0"), Answers())
        assert await shown(kernel, "1 + 1") == "2"
        await kernel.stop()
        store = Store(tmp_path, limit=1)
        buffer = store.hold(Buffer.encode(b"x" * 100_000))
        await in_thread(store.spill)
        assert buffer.place == "disk"
        assert await asyncio.to_thread(int, "7") == 7
        store.close()
        assert slow_names.most == 2 * LOOK_UPS_AT_ONCE
        assert not any(task.done() for task in asked)
    finally:
        for task in asked:
            task.cancel()
        slow_names.answer()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_look_ups_of_one_agent_do_not_take_the_turn_of_another_and_end_in_time(monkeypatch, slow_names):
    monkeypatch.setattr("rlm_jupyter.kernels.bridge.connection_broker.SECONDS", 2.0)
    greedy, other = (Broker(["all"], lambda _: None) for _ in range(2))
    asked = [asyncio.create_task(greedy.resolve({"host": f"{n}.example.org"})) for n in range(50)]
    await settled(lambda: slow_names.now == LOOK_UPS_AT_ONCE)
    single = asyncio.create_task(other.connect({"host": "other.example.org", "port": 80}))
    await settled(lambda: "other.example.org" in slow_names.asked)
    ended = await asyncio.gather(*asked, single, return_exceptions=True)
    assert all(isinstance(error, BridgeError) for error in ended)
    assert {error.data["errno"] for error in ended} == {errno.ETIMEDOUT}
    # A thread that still waits counts for its agent, though nobody waits for it any more.
    again = asyncio.create_task(greedy.resolve({"host": "again.example.org"}))
    await asyncio.sleep(0.1)
    assert "again.example.org" not in slow_names.asked
    slow_names.answer()
    assert (await again)[0] == {"addresses": [PUBLIC]}


async def test_an_address_is_not_looked_up(slow_names):
    found, _ = await Broker([PUBLIC], lambda _: None).resolve({"host": PUBLIC})
    assert found == {"addresses": [PUBLIC]}
    assert slow_names.asked == []
