"""In the place of the program `docker`: understands what rlm_jupyter asks of it, and runs the "container" in bubblewrap.

There is no Docker where the tests run. What stands here is strict where Docker is: options that it does not have, an image
that is not there, a mount whose source is missing end with its exit status 125; the container is not the client's child
to kill; it sees no network, no file of the user's and nothing of the environment but what it is given.

    docker run [options] IMAGE [arguments]        docker rm --force NAME
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

WITH_VALUE = {
    *(
        "--name",
        "--label",
        "--network",
        "--cap-drop",
        "--security-opt",
        "--tmpfs",
        "--workdir",
        "--env",
        "--user",
    ),
    *("--mount", "--memory", "--memory-swap", "--pids-limit", "--entrypoint", "--pull"),
}
ALONE = {"--rm", "--init", "--read-only"}
STATE = Path(os.environ.get("DOCKER_STAND_IN") or Path(__file__).resolve().parent)
"""Where the containers, and all commands, are written down."""


def fail(text):
    sys.stderr.write(f"docker: {text}\n")
    sys.exit(125)


def parsed(words):
    """Returns the options, each with its values, the image, and the arguments behind it."""
    options, at = {}, 0
    while at < len(words) and words[at].startswith("-"):
        name = words[at]
        if name in ALONE:
            options[name] = [True]
        elif name in WITH_VALUE:
            at += 1
            options.setdefault(name, []).append(words[at])
        else:
            fail(f"unknown flag: {name}")
        at += 1
    if at == len(words):
        fail("'docker run' requires at least 1 argument")
    return options, words[at], words[at + 1 :]


def mounted(options):
    """Returns the options of bubblewrap for the mounts."""
    words = []
    for mount in options.get("--mount", []):
        fields = dict(part.partition("=")[::2] for part in mount.split(","))
        if fields["type"] != "bind" or not Path(fields["source"]).exists():
            fail(f"invalid mount config: bind source path does not exist: {fields['source']}")
        words += ["--ro-bind" if "readonly" in fields else "--bind", fields["source"], fields["target"]]
    return words


def run(words):
    options, image, arguments = parsed(words)
    if image != "scipy:1":
        if options.get("--pull") != ["never"]:
            fail("the stand-in downloads nothing")
        fail(f"Error response from daemon: No such image: {image}")
    (name,) = options["--name"]
    record = STATE / f"{name}.json"
    if record.exists():
        fail(f'Conflict. The container name "/{name}" is already in use')
    (program,) = options["--entrypoint"]
    if program != "python":
        fail(f'exec: "{program}": executable file not found in $PATH')
    (network,) = options["--network"]
    environment = dict(one.split("=", 1) for one in options.get("--env", []))
    command = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--clearenv"]
    command += ["--unshare-net"] if network == "none" else []
    command += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for place in options.get("--tmpfs", []):
        command += ["--tmpfs", place.partition(":")[0]]
    for place in dict.fromkeys([sys.prefix, sys.base_prefix]):  # the image's own Python
        command += ["--ro-bind", place, place]
    command += [*mounted(options), "--chdir", options["--workdir"][0]]
    for key, value in {"PATH": "/usr/bin:/bin", **environment}.items():
        command += ["--setenv", key, value]
    container = subprocess.Popen(
        [*command, "--", sys.executable, *arguments], start_new_session=True, stdin=subprocess.DEVNULL
    )
    record.write_text(json.dumps({"pid": container.pid, "options": options}))
    status = container.wait()
    record.unlink(missing_ok=True)  # --rm
    sys.exit(status if status >= 0 else 128 - status)


def remove(words):
    name = words[-1]
    record = STATE / f"{name}.json"
    if not record.exists():
        sys.stderr.write(f"Error response from daemon: No such container: {name}\n")
        sys.exit(1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(json.loads(record.read_text())["pid"], signal.SIGKILL)
    record.unlink(missing_ok=True)


if __name__ == "__main__":
    with (STATE / "commands").open("a") as log:
        log.write(json.dumps(sys.argv[1:]) + "\n")
    {"run": run, "rm": remove}.get(sys.argv[1], lambda words: fail(f"unknown command: {sys.argv[1]}"))(
        sys.argv[2:]
    )
