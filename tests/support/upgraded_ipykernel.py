"""A Python whose ipykernel is a later one, as a release might change it: for tests of what depends on its private names."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import ipykernel

HERE = Path(__file__).parents[1]
SITE = sysconfig.get_path("purelib")
VERSION = "99.1.0"

# What the new release has changed, file by file; each is in itself a whole: its stock kernel works.
CHANGES = {
    "an argument more": [
        ("iostream.py", r"def _really_send\(self, msg", "def _really_send(self, route, msg"),
        ("iostream.py", r"self\._really_send\(\*args", "self._really_send(None, *args"),
    ],
    "a thread with another attribute": [
        ("ipkernel.py", r"\bparent_thread\b", "owner"),
        ("kernelbase.py", r"\bparent_thread\b", "owner"),
        ("shellchannel.py", r"\bparent_thread\b", "owner"),
    ],
    "a base class gone": [
        ("iostream.py", r"\bIOPubThread\b", "PublishingThread"),
        ("kernelapp.py", r"\bIOPubThread\b", "PublishingThread"),
    ],
    "a method that takes the channel": [
        ("kernelapp.py", r"self\.init_iopub\(context\)", "self.init_iopub(context, 'iopub')"),
        ("kernelapp.py", r"def init_iopub\(self, context\)", "def init_iopub(self, context, channel)"),
    ],
    "output that waits for another call": [
        ("iostream.py", r"def _flush\(self\):", "def _flush(self):\n        '''Nothing.'''\n\n    def _push(self):"),
        ("iostream.py", r"self\._flush\b(?!_)", "self._push"),
    ],
}  # fmt: skip


def make(directory, change):
    """Make a virtual environment with that change to ipykernel; give its Python."""
    venv.create(directory, symlinks=True, with_pip=False)
    own = next(directory.glob("lib/python*/site-packages"))
    copy = own / "ipykernel"
    shutil.copytree(Path(ipykernel.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(SITE, "ipykernel_launcher.py"), own)
    information = own / f"ipykernel-{VERSION}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ipykernel\nVersion: {VERSION}\n")
    for name, old, new in CHANGES[change]:
        path = copy / name
        text, number = re.subn(old, new, path.read_text())
        assert number, f"ipykernel has no `{old}` any more: change this test"
        path.write_text(text)
    (own / "others.pth").write_text(f"{SITE}\n")
    return directory / "bin" / "python"


def run(python, code, *arguments, timeout=110):
    """Run code with that Python and this checkout; give what it printed."""
    paths = os.pathsep.join([str(HERE.parent), str(HERE / "support")])
    done = subprocess.run(
        [str(python), "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


assert sys.platform.startswith("linux")
