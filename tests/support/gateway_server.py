"""A real Jupyter Kernel Gateway on loopback, for tests."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

TOKEN = "open-sesame"


class Gateway:
    """A gateway process that is ended again, with everything that it started."""

    def __init__(self):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.kernel = f"gateway:{self.url}/python3"
        self.home = tempfile.TemporaryDirectory(prefix="gateway-")
        self.log = Path(self.home.name, "log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "kernel_gateway",
                    f"--KernelGatewayApp.port={self.port}",
                    "--KernelGatewayApp.ip=127.0.0.1",
                    f"--KernelGatewayApp.auth_token={TOKEN}",
                    "--JupyterWebsocketPersonality.list_kernels=True",
                ],
                cwd=self.home.name,
                env={"PATH": os.environ["PATH"], "HOME": self.home.name, "TMPDIR": self.home.name},
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 60
        while True:
            try:
                self.kernels()
                break
            except (urllib.error.URLError, ConnectionError) as error:
                if time.monotonic() > end or self.process.poll() is not None:
                    text = self.log.read_text()
                    self.close()
                    raise AssertionError(f"no gateway: {text}") from error
                time.sleep(0.1)

    def ask(self, path, method="GET"):
        request = urllib.request.Request(
            self.url + path, headers={"Authorization": f"token {TOKEN}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            data = answer.read()
            return json.loads(data) if data else None

    def kernels(self):
        """Ids of the kernels that it runs."""
        for _ in range(100):
            try:
                return [kernel["id"] for kernel in self.ask("/api/kernels")]
            except urllib.error.HTTPError as error:
                if error.code != 500:  # it cannot tell while one starts or ends
                    raise
            time.sleep(0.05)
        raise AssertionError("the gateway does not tell its kernels")

    def left(self, within=60.0):
        """What is left of kernels after a while: ids, processes, directories."""
        end = time.monotonic() + within
        while True:
            # The file that a connection is described in goes with its kernel too.
            found = [*self.kernels(), *psutil.Process(self.process.pid).children(recursive=True)]
            found += list(Path(self.home.name).glob("rlm-*"))
            if not found or time.monotonic() > end:
                return found
            time.sleep(0.05)

    def close(self):
        processes = []
        if self.process.poll() is None:
            processes = psutil.Process(self.process.pid).children(recursive=True)
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.home.cleanup()
