"""What code of a model may try against the machine it runs on, and what comes of it."""
# No other work waits in these loops, and paths are strings as agents use them.
# ruff: noqa: ASYNC221, ASYNC240, PTH108, PTH110, PTH111, PTH116, SIM105

import asyncio
import os
import socket
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from kernel_parts import alive, gone, opened, shown, started
from programs import needs_program

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.guest.confinement import landlock_seccomp
from rlm_jupyter.kernels.confinement import policy

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not landlock_seccomp.landlock_version(), reason="this system has no Landlock"),
]
SECRET = "planted-5d1c7f"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def boxed():
    os.environ["RLM_TEST_API_KEY"] = SECRET
    try:
        async with opened() as pool:
            yield pool
    finally:
        del os.environ["RLM_TEST_API_KEY"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(boxed):
    """Two kernels, and what the first may be curious about."""
    async with started(boxed) as kernel, started(boxed, run="other") as sibling:
        yield kernel, sibling


@pytest.fixture
def bait(tmp_path):
    """A project directory with a secret in it, and servers that nobody should reach."""
    (tmp_path / ".env").write_text(SECRET)
    servers = [socket.socket(socket.AF_INET), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    path, abstract = f"/tmp/rlm-test-{os.getpid()}.sock", f"\0rlm-test-{os.getpid()}"
    for server, address in zip(servers, (("127.0.0.1", 0), path, abstract), strict=True):
        server.bind(address)
        server.listen()
    datagrams.bind(("127.0.0.1", 0))
    for server in (*servers, datagrams):
        server.setblocking(False)
    yield {
        "directory": str(tmp_path),
        "secret": str(tmp_path / ".env"),
        "tcp": servers[0].getsockname()[1],
        "udp": datagrams.getsockname()[1],
        "unix": path,
        "abstract": abstract,
        "host": os.getpid(),
        "home": os.path.expanduser("~"),
        "servers": [*servers, datagrams],
    }
    for server in (*servers, datagrams):
        server.close()
    os.unlink(path)


def reached(bait):
    """Returns how many servers heard of somebody."""
    heard = 0
    for server in bait["servers"]:
        try:
            heard += bool(
                server.recv(100) if server.type == socket.SOCK_DGRAM else server.accept()[0].close() or 1
            )
        except BlockingIOError:
            pass
    return heard


async def attempt(kernel, code, bait, **more):
    """Run an attack: its last line is an expression that is true if it worked; errors mean that it did not."""
    facts = {name: value for name, value in {**bait, **more}.items() if name != "servers"}
    *body, last = textwrap.dedent(code).strip().splitlines()
    lines = [f"globals().update({facts!r})", "import os, sys, socket, ctypes, subprocess", "def attack():"]
    lines += [f"    {line}" for line in (*body, f"return {last}")]
    lines += [
        "try: worked = attack()",
        "except (OSError, ImportError, ValueError) as error: worked = None",
        "print('worked:', bool(worked))",
    ]
    output = await shown(kernel, "\n".join(lines))
    return "worked: True" in output or "worked: False" not in output


LOOK = {
    "environment": "SECRET in str(os.environ)",
    "own-environ-file": "SECRET in open('/proc/self/environ').read()",
    "every-environ-and-command-line": """
        found = ''
        for pid in filter(str.isdigit, os.listdir('/proc')) if os.access('/proc', os.R_OK) else map(str, range(1, 70000)):
            for name in ('environ', 'cmdline'):
                try: found += open(f'/proc/{pid}/{name}').read()
                except OSError: pass
        SECRET in found""",
    "environ-of-the-notebook": "SECRET in open(f'/proc/{host}/environ').read()",
    "memory-of-the-notebook": "open(f'/proc/{host}/mem', 'rb')",
    "memory-of-the-supervisor": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "descriptors-of-the-notebook": "os.listdir(f'/proc/{host}/fd')",
    "root-of-the-notebook": "open(f'/proc/{host}/root{secret}').read()",
    "project": "open(secret).read()",
    "project-list": "os.listdir(directory)",
    "home": "os.listdir(home)",
    "ssh-keys": "os.listdir(home + '/.ssh')",
    "shadow": "open('/etc/shadow').read()",
    "temporary-directory": "os.listdir('/tmp')",
    "shared-memory": "os.listdir('/dev/shm')",
    "by-a-symlink": "os.symlink(secret, 'link'); open('link').read()",
    "by-a-hard-link": "os.link(secret, 'hard'); open('hard').read()",
    "by-a-rename": "os.rename(secret, 'moved'); open('moved').read()",
    "by-a-subprocess": "subprocess.run(['cat', secret], capture_output=True, text=True).stdout",
    "by-a-path-descriptor": "os.open('..', os.O_PATH) and open(f'/proc/self/fd/{os.open(secret, os.O_PATH)}').read()",
    "by-execution": "os.spawnvp(os.P_WAIT, 'sh', ['sh', '-c', f'read x < {secret}']) == 0",
    "connection-file-of-a-sibling": "open(sibling + '/c.json').read()",
    "scratch-of-a-sibling": "os.listdir(sibling + '/scratch')",
    "jupyter-runtime": "os.listdir(home + '/.local/share/jupyter/runtime')",
}
WRITE = {
    "new-file": "open(directory + '/new', 'w')",
    "append": "open(secret, 'a').write('x')",
    "truncate": "os.truncate(secret, 0)",
    "remove": "os.remove(secret) is None",
    "make-directory": "os.mkdir(directory + '/d') is None",
    "home": "open(home + '/.rlm-test', 'w')",
    "temporary-directory": "open('/tmp/rlm-test-w', 'w')",
    "shared-memory": "open('/dev/shm/rlm-test', 'w')",
    "site-packages": "open(os.path.dirname(os.path.dirname(__import__('pandas').__file__)) + '/sitecustomize.py', 'w')",
    "by-a-symlink": "os.symlink(directory + '/s', 'out'); open('out', 'w')",
    "by-a-subprocess": "subprocess.run(f'echo x > {directory}/sub', shell=True).returncode == 0",
    "own-connection-file": "open('../c.json', 'w')",
    "socket-removed": "os.remove('../sockets/s-1') is None",
    "device-node": "os.mknod('disk', 0o60600, os.makedev(254, 0)) is None",
    "mode-of-a-file": "os.chmod(secret, 0o777) or os.stat(secret).st_mode & 0o777 == 0o777",
    "time-of-a-file": "os.utime(secret, (1, 1)) or os.stat(secret).st_mtime == 1",
    "oom-score-of-the-notebook": "open(f'/proc/{host}/oom_score_adj', 'w').write('1000')",
}
REACH = {
    "tcp": "socket.create_connection(('127.0.0.1', tcp), 2)",
    "tcp-bind": "socket.create_server(('127.0.0.1', 0))",
    "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', udp))",
    "name-lookup": "socket.getaddrinfo('localhost', udp)[0] and socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
    "unix": "s = socket.socket(socket.AF_UNIX); s.connect(unix); s",
    "abstract-unix": "s = socket.socket(socket.AF_UNIX); s.connect(abstract); s",
    "unix-from-a-socketpair": """
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        a.sendto(b'x', abstract) or a.connect(unix)""",
    "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "by-a-subprocess": """
        code = f'import socket; socket.create_connection(("127.0.0.1", {tcp}), 2)'
        subprocess.run([sys.executable, '-c', code], stderr=subprocess.DEVNULL).returncode == 0""",
    "by-zmq": """
        import time, zmq
        with zmq.Context() as context, context.socket(zmq.DEALER) as s:
            s.linger = 0
            s.connect(f'tcp://127.0.0.1:{tcp}')
            time.sleep(0.1)
        False""",
    "http": "__import__('urllib.request').request.urlopen(f'http://127.0.0.1:{tcp}', timeout=2)",
    "kernel-of-a-sibling": "s = socket.socket(socket.AF_UNIX); s.connect(sibling + '/sockets/s-1'); s",
}
HARM = {
    "kill-the-notebook": "os.kill(host, 9) is None",
    "kill-the-supervisor": "os.kill(os.getppid(), 9) is None",
    "stop-the-supervisor": "os.kill(os.getppid(), 19) is None",
    "kill-a-sibling": "os.kill(int(sibling_pid), 9) is None",
    "kill-the-notebooks-group": "os.killpg(os.getpgid(host), 9) is None",
    "pidfd": "__import__('signal').pidfd_send_signal(os.pidfd_open(host), 9) is None",
    "trace": "ctypes.CDLL(None).ptrace(16, host, 0, 0) == 0",
    "limit-the-notebook": "__import__('resource').prlimit(host, 0, (1, 1))",
    "slow-the-notebook": "os.setpriority(os.PRIO_PROCESS, host, 19) is None",
    "user-namespace": "ctypes.CDLL(None).unshare(0x10000000) == 0",
    "mount": "ctypes.CDLL(None).mount(b'none', directory.encode(), b'tmpfs', 0, 0) == 0",
    "system-v-memory": "ctypes.CDLL(None).shmget(1234, 4096, 0o1600) >= 0",
    "io-uring": "ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(200)) >= 0",
    "keyring": "ctypes.CDLL(None).syscall(250, 0, -4, 1) >= 0",
    "raise-a-limit": "r = __import__('resource'); r.setrlimit(r.RLIMIT_CORE, (1 << 20, 1 << 20)) is None",
}
ALL = [
    (kind, name)
    for kind, attacks in (("look", LOOK), ("write", WRITE), ("reach", REACH), ("harm", HARM))
    for name in attacks
]


@pytest.mark.parametrize(("kind", "name"), ALL, ids=[f"{kind}-{name}" for kind, name in ALL])
async def test_an_attack_from_the_box_fails(pair, bait, kind, name):
    kernel, sibling = pair
    code = {"look": LOOK, "write": WRITE, "reach": REACH, "harm": HARM}[kind][name].replace(
        "SECRET", repr(SECRET)
    )
    home = str(sibling._process.launch.directory)
    before = {entry.name for entry in Path(bait["directory"]).iterdir()}
    if ";" in code and "\n" not in code:
        code = "\n".join(part.strip() for part in code.split(";"))
    assert await attempt(kernel, code, bait, sibling=home, sibling_pid=sibling.pid) is False
    assert reached(bait) == 0
    assert Path(bait["secret"]).read_text() == SECRET
    assert os.stat(bait["secret"]).st_mode & 0o777 != 0o777
    assert {entry.name for entry in Path(bait["directory"]).iterdir()} == before
    assert alive(sibling.pid)
    assert await shown(kernel, "1 + 1") == "2"


@pytest.mark.parametrize("name", ["environment", "own-environ-file"])
async def test_keys_stay_outside_even_without_a_box(boxed, bait, name):
    async with started(boxed, sandbox="none") as kernel:
        assert await attempt(kernel, LOOK[name].replace("SECRET", repr(SECRET)), bait) is False
        assert kernel.confinement["mode"] == "none"
        assert "sandbox is `none`" in kernel.confinement["missing"][0]


@pytest.mark.parametrize(
    "code",
    [
        "import pandas as pd, numpy as np; pd.DataFrame(np.eye(3)).to_parquet('t.parquet'); len(pd.read_parquet('t.parquet'))",
        "open('f', 'w').write('abc'); open('f').read()",
        "import shutil; open('f', 'w').close(); shutil.copy('f', 'g'); shutil.move('g', 'h')",
        "import tempfile; tempfile.mkdtemp(); tempfile.NamedTemporaryFile().name",
        "import sqlite3; sqlite3.connect('d.db').execute('create table t (a)').fetchall()",
        "import subprocess; subprocess.run(['python3', '-c', 'print(1)'], capture_output=True).returncode",
        "import os; os.fork() or os._exit(0)",
        "import os; os.memfd_create('m')",
        "import socket; socket.socketpair()",
        "import asyncio, threading; threading.Thread(target=asyncio.run, args=(asyncio.sleep(0),)).start()",
        "from multiprocessing.pool import ThreadPool; assert ThreadPool(2).map(abs, [-1]) == [1]",
        "import multiprocessing as m\nwith m.Pool(2) as p: assert p.map(abs, range(-50, 0)) == list(range(50, 0, -1))",
        "from concurrent.futures import ProcessPoolExecutor as P\nwith P(2) as p: assert list(p.map(abs, [-1, -2])) == [1, 2]",
        "import multiprocessing as m\nq = m.Queue(); p = m.Process(target=q.put, args=(7,)); p.start(); assert q.get() == 7; p.join()",
        "import os, signal, subprocess; p = subprocess.Popen(['sleep', '9']); p.kill(); p.wait()",
        "import zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin')",
        "import os; os.cpu_count(), os.getloadavg(), open('/proc/meminfo').read(20), open('/dev/null', 'w')",
        "import importlib.metadata as m; m.version('pandas')",
    ],
)
async def test_honest_work_goes_on_in_the_box(pair, code):
    assert (await pair[0].execute(code, seconds=60)).status == "ok"


LOCKS = """
import multiprocessing as m, threading, time
lock, recursive, bounded = m.Lock(), m.RLock(), m.BoundedSemaphore(2)
with recursive, recursive: pass
for wrong, error in ((lock, ValueError), (recursive, AssertionError), (bounded, ValueError)):
    try: wrong.release()
    except error: pass
    else: raise SystemError(wrong)
assert lock.acquire() and not lock.acquire(False) and not lock.acquire(timeout=0.01)
lock.release()
count = m.Value("i", 0)
def add():
    for _ in range(200):
        with count.get_lock(): count.value += 1
workers = [m.Process(target=add) for _ in range(4)]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert count.value == 800
ready, queue = m.Event(), m.JoinableQueue()
m.Process(target=lambda: (ready.wait(60), queue.put("went"))).start()
ready.set()
queue.get(timeout=5)
"""


async def test_the_locks_of_multiprocessing_work_in_the_box(pair):
    assert await shown(pair[0], LOCKS) == "'went'"


async def test_what_holds_is_told(pair):
    told = pair[0].confinement
    assert told["mode"] == "landlock+seccomp"
    assert set(told["holds"]) >= {"keys", "files", "network", "signals", "memory"}
    assert told["missing"] == []


@needs_program("bwrap")
async def test_bubblewrap_hides_processes_files_and_network(boxed, bait):
    async with started(boxed, sandbox="bwrap") as kernel:
        assert kernel.confinement["mode"].startswith("bwrap")
        assert int(await shown(kernel, "import os; os.getpid()")) < 10
        for code in (
            LOOK["project"],
            LOOK["environ-of-the-notebook"],
            LOOK["ssh-keys"],
            REACH["tcp"],
            HARM["kill-the-notebook"],
        ):
            assert await attempt(kernel, code.replace("SECRET", repr(SECRET)), bait) is False
        assert (await kernel.execute("while True: pass", seconds=0.3)).status == "timeout"
        assert await shown(kernel, "llm_query('ask')") == "'reply to ask'"
        child = await shown(
            kernel, "import subprocess; subprocess.Popen(['sleep', '98.7'], start_new_session=True).pid"
        )
        assert child
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "98.7"]]


async def test_bubblewrap_that_is_missing_is_named(boxed, monkeypatch):
    monkeypatch.setattr(policy.shutil, "which", lambda _: None)
    with pytest.raises(KernelStartError, match="needs bubblewrap"):
        async with started(boxed, sandbox="bwrap"):
            pass


async def test_memory_has_a_limit_and_the_kernel_survives_it(boxed):
    async with started(boxed, limits={"memory": 3 << 30}) as kernel:
        result = await kernel.execute("x = bytearray(4 << 30)", seconds=60)
        assert result.error_name == "MemoryError"
        assert await shown(kernel, "len(bytearray(1 << 20))") == "1048576"


async def test_files_have_a_limit(boxed):
    async with started(boxed, limits={"disk": 1 << 20}) as kernel:
        result = await kernel.execute("f = open('big', 'wb')\nf.write(bytes(2 << 20)); f.flush()", seconds=60)
        assert result.error_name == "OSError"


async def test_open_files_have_a_limit(boxed):
    async with started(boxed, limits={"open_files": 400}) as kernel:
        code = "import os\ntry:\n    while True: os.open('/dev/null', 0)\nexcept OSError as e: n = e.errno\nfor i in range(210, 400):\n    try: os.close(i)\n    except OSError: pass\nn"
        assert await shown(kernel, code) == "24"


@pytest.mark.parametrize(
    "code",
    [
        "import os, time\npids = []\nfor _ in range(50):\n    pid = os.fork()\n    if not pid: time.sleep(600); os._exit(0)\n    pids.append(pid)\nprint(*pids)",
        "import subprocess\nprint(*(subprocess.Popen(['sleep', '600'], start_new_session=True).pid for _ in range(50)))",
        "import subprocess\nprint(subprocess.run('for i in 1 2 3 4 5; do setsid sh -c \"trap : TERM HUP INT; sleep 600\" >/dev/null 2>&1 & echo $!; done', shell=True, capture_output=True, text=True).stdout)",
        "import os, time\nr, w = os.pipe()\nif not os.fork():\n    os.setsid()\n    pid = os.fork()\n    if pid: os.write(w, str(pid).encode()); os._exit(0)\n    time.sleep(600); os._exit(0)\nprint(os.read(r, 99).decode())",
    ],
    ids=["50-forks", "50-sessions", "deaf-daemons", "double-fork-daemon"],
)
@pytest.mark.parametrize("end", ["stop", "dies"])
async def test_what_a_kernel_started_ends_with_it(boxed, code, end):
    async with started(boxed) as kernel:
        children = list(map(int, (await shown(kernel, code)).split()))
        assert children
        assert all(map(alive, children))
        if end == "dies":
            assert (await kernel.execute("import os; os._exit(1)", seconds=60)).status == "died"
    assert await asyncio.to_thread(gone, *children) == []


async def test_a_scratch_directory_that_resists_is_removed(boxed):
    async with started(boxed) as kernel:
        where = await shown(
            kernel,
            "import os; os.makedirs('a/b/c'); open('a/b/c/f', 'w').close(); os.mkdir('dark', 0); print(os.getcwd())",
        )
    assert not os.path.exists(where)


async def test_policy_names_no_home_and_no_project(tmp_path):
    paths = policy.readable_paths()
    home, here = Path.home(), Path(__file__).resolve().parents[1]
    assert str(home) not in paths
    assert str(here.parent) not in paths
    assert "/" not in paths
    assert "/proc" not in paths
    assert not [path for path in paths if here.is_relative_to(path)]
    assert [path for path in paths if Path(sys.executable).resolve().is_relative_to(path)]
    other = policy.readable_paths("/nowhere/venv/bin/python")
    assert not [path for path in other if path.startswith(sys.prefix)]


async def test_a_system_without_landlock_says_so(monkeypatch):
    monkeypatch.setattr(landlock_seccomp, "landlock_version", lambda: 0)
    monkeypatch.setattr(landlock_seccomp, "_drop_capabilities", lambda: None)
    report = {**landlock_seccomp.report, "missing": []}
    monkeypatch.setattr(landlock_seccomp, "report", report)
    landlock_seccomp._enter_files({})
    monkeypatch.setattr(landlock_seccomp.platform, "machine", lambda: "riscv64")
    landlock_seccomp.close({})
    told = policy.confinement("auto", report, local=True)
    assert told["mode"] == "none"
    assert told["holds"] == []  # `/proc` shows the keys of this process
    assert any("no Landlock" in line for line in told["missing"])
    assert any("riscv64" in line for line in told["missing"])


async def test_an_old_landlock_is_helped_by_the_filter():
    """Before version 6 Landlock has no signals: the filter itself denies those to the protected."""
    code = textwrap.dedent("""
        import os, sys
        sys.path.insert(0, sys.argv[1])
        from rlm_jupyter.guest.confinement import landlock_seccomp
        landlock_seccomp.landlock_version = lambda: 2
        parent = os.getppid()
        landlock_seccomp.confine_calls({"protect": [parent]})
        child = os.fork() or os.execvp("sleep", ["sleep", "600"])
        denied = 0
        for target in (parent, -parent, -1):
            try: os.kill(target, 0)
            except PermissionError: denied += 1
        try: os.truncate(sys.argv[0], 0)
        except PermissionError: denied += 1
        os.kill(child, 9)
        os.waitpid(child, 0)
        print(denied)
    """)
    import subprocess

    room = Path(landlock_seccomp.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(room)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "4\n", done.stderr
