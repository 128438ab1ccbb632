"""A MariaDB server of its own, in a temporary directory, on a socket there."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import sqlalchemy
from programs import require

NOBODY = 65534


@contextlib.contextmanager
def mariadb_server():
    """Start a server with an empty database `shop`; returns its address for SQLAlchemy, behind the dialect's name.

    It has no tables of its own, and so neither users nor stored functions.
    """
    server = require("mariadbd")
    home = Path(tempfile.mkdtemp(prefix="mdb", dir="/tmp"))
    become = []
    if os.geteuid() == 0:  # it refuses to run as root
        become = [require("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    data, socket, log = home / "data", home / "socket", home / "log"
    data.mkdir()
    if become:
        os.chown(home, NOBODY, NOBODY)
        os.chown(data, NOBODY, NOBODY)
    options = ["--no-defaults", f"--datadir={data}", f"--socket={socket}", f"--log-error={log}"]
    options += ["--skip-networking", "--skip-grant-tables", "--innodb-flush-log-at-trx-commit=0"]
    command = [*become, server, *options]
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 100
        while not socket.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
        engine = sqlalchemy.create_engine(f"mariadb+pymysql://root@/?unix_socket={socket}")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE DATABASE shop")
        engine.dispose()
        yield f"pymysql://root@/shop?unix_socket={socket}"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(home, ignore_errors=True)
