"""What a fork of the supervisor does to become a kernel.

Travels as source into the supervisor: standard library only.
"""

import atexit
import gc
import json
import os
import random
import signal
import sys
import threading
import traceback
from typing import Any, NoReturn

from ..guest import linux_process
from ..guest.confinement import landlock_seccomp

BRIDGE_FD = 200
"""Where a kernel finds its end of the bridge."""
PASSED_ON = ("SIGCHLD", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


def detach(parent: int) -> None:
    """Lead a session of one's own that dies with the parent and takes in what its descendants detach.

    While a kernel lives, its detached processes come back to it, and to the supervisor when it is dead: an unknown
    child of the supervisor is always the rest of a dead kernel.
    """
    os.setsid()
    linux_process.die_with_parent(parent)
    linux_process.prctl(linux_process.PR_SET_CHILD_SUBREAPER, 1)


def _settle(request: dict[str, Any], bridge: list[int], parent: int) -> None:
    """Make the forked child a process of its own: session, signals, descriptors, environment."""
    detach(parent)
    linux_process.prctl(
        linux_process.PR_SET_DUMPABLE, 1
    )  # else an ordinary user cannot read its own /proc/self
    signal.set_wakeup_fd(-1)
    for name in PASSED_ON:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in bridge[:1]:
        os.dup2(number, BRIDGE_FD, inheritable=request["op"] == "exec")
    for number in bridge:
        if number != BRIDGE_FD:
            os.close(number)
    for target, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, os.devnull, os.O_WRONLY),
        (2, request.get("log") or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        number = os.open(path, flags, 0o600)
        os.dup2(number, target)
        os.close(number)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])


def _run_kernel(request: dict[str, Any]) -> None:
    """Be an ipykernel until it is shut down. Runs in the forked child."""
    # Here, because the notebook's process reads this module too, and because the fork server imports ipykernel only
    # after it has taken debugpy out of its way.
    from ..guest.ipykernel_hooks import prebuilt_app

    gc.enable()
    random.seed()
    if "numpy" in sys.modules:
        sys.modules[
            "numpy"
        ].random.seed()  # unlike `random`'s, numpy's global state is not reseeded by a fork
    policy = request.get("policy")
    if policy:
        landlock_seccomp.enter(policy)
    sys.argv = ["ipykernel_launcher", *request["argv"]]
    app = prebuilt_app.application(request["argv"])
    app.initialize(request["argv"])
    if policy:
        landlock_seccomp.close(policy)
    app.start()


def become(request: dict[str, Any], bridge: list[int], parent: int) -> NoReturn:
    """Be the kernel that was asked for, and never return."""
    status = 1
    try:
        _settle(request, bridge, parent)
        if request["op"] == "exec":
            if request.get("policy"):
                landlock_seccomp.enter(request["policy"])
                request["env"][landlock_seccomp.INHERITED] = json.dumps(landlock_seccomp.report)
            os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - the kernel's command
        _run_kernel(request)
        # What the interpreter does at its end; `os._exit` below spares the frames of the supervisor.
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
        atexit._run_exitfuncs()  # noqa: SLF001
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stderr.flush()
        finally:
            os._exit(status)
