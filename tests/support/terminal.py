"""A real terminal of a given size that a program runs in, with what stands on its screen: tmux."""

import os
import shlex
import subprocess
import sys
import time
import uuid
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("rlm-jupyter"))


class Terminal:
    """Runs a shell command in a terminal; `with` ends it.

    Args:
        command: words of a program, or a text for the shell.
        directory: where it runs; the socket of the terminal is there too.
        size: columns and rows.
        env: variables beside those that a program needs.
    """

    def __init__(self, command, directory, *, size=(80, 24), env=None):
        self._directory, self._name = directory, uuid.uuid4().hex[:8]
        text = command if isinstance(command, str) else shlex.join(map(str, command))
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ
        }
        self._env = {**kept, "LC_ALL": "C.UTF-8", "TMUX_TMPDIR": str(directory), "SHELL": "/bin/sh"}
        self._env |= {"TERM": "xterm", **(env or {})}
        width, height = map(str, size)
        # The pane stays when its command has ended, so that what it left there can be read.
        text = f'{text}; echo "exit code $?"; sleep 1000'
        self._tmux("new-session", "-d", "-x", width, "-y", height, "-c", str(directory), text)

    def _tmux(self, *words):
        command = ["tmux", "-L", self._name, "-f", "/dev/null", "-u", *words]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._tmux("kill-server")

    def screen(self, *, styles=False):
        """The text on the screen; with `styles`, with the escape sequences of its colours."""
        return self._tmux("capture-pane", "-p", *(["-e"] if styles else []))

    def title(self):
        return self._tmux("display-message", "-p", "#{pane_title}")

    def clipboard(self):
        """What programs have put into tmux's buffers."""
        return self._tmux("list-buffers")

    def keys(self, *keys):
        self._tmux("send-keys", *keys)

    def type(self, text):
        self._tmux("send-keys", "-l", text)

    def resize(self, width, height):
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def wait(self, text, *, without=None, seconds=120):
        """Wait until a text is on the screen, and another one is not; give the screen."""
        end = time.monotonic() + seconds
        while True:
            shown = self.screen()
            if text in shown and (without is None or without not in shown):
                return shown
            assert time.monotonic() < end, f"{text!r} is not on the screen:\n{shown}"
            time.sleep(0.1)
