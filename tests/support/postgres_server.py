"""A PostgreSQL server of its own, in a temporary directory, on a socket there and on a port of the loopback."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from programs import PROGRAMS, require

NOBODY = 65534
PASSWORD = "s3cr3t-of-the-reader"
PROGRAMS_OF_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Server:
    """Where it is.

    Attributes:
        sockets: the directory of its socket, where everybody is let in.
        port: also of the loopback, where a password is asked for.
    """

    sockets: Path
    port: int

    def url(self, user="owner", password=None, driver="psycopg"):
        """Returns the address of its database for SQLAlchemy."""
        login = user if password is None else f"{user}:{password}"
        return f"postgresql+{driver}://{login}@/shop?host={self.sockets}&port={self.port}"

    def loopback(self, user, password):
        """Returns its address over the loopback, where the password must be right."""
        return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self.port}/shop"


def _bin():
    require("pg_createcluster")
    found = sorted(PROGRAMS_OF_DEBIAN.glob("*/bin/initdb"))
    if not found:
        pytest.fail(PROGRAMS["pg_createcluster"].advice, pytrace=False)
    return found[-1].parent


def _free_port():
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextlib.contextmanager
def postgres_server():
    """Start a server with an empty database `shop`; it refuses to run as root, so then it is an ordinary user's."""
    programs = _bin()
    home = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    become = []
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
        become = [require("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

    def run(*command):
        done = subprocess.run(
            [*become, *map(str, command)], cwd=home, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr

    data, port = home / "data", _free_port()
    try:
        run(
            programs / "initdb",
            "-D",
            data,
            "-U",
            "owner",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--locale=C",
        )
        rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (data / "pg_hba.conf").write_text(rules)
        options = f"-k {home} -p {port} -c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=32MB"
        run(programs / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", home / "log", "-o", options, "start")
        try:
            run(programs / "createdb", "-h", home, "-p", port, "-U", "owner", "shop")
            yield Server(home, port)
        finally:
            run(programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
