"""The box around an agent's kernel, from the inside: Landlock, seccomp and resource limits by ctypes alone.

Travels as source into kernels: standard library only.
Linux on x86-64 and AArch64; elsewhere each part says that it does not hold. Order matters:

1. `enter(policy)` right after the fork, while the process has one thread (Landlock holds per thread);
2. `close(policy)` when the kernel's own sockets exist, because afterwards no socket can be made.

`policy` is a dict: `read` and `write` (paths with all below them), `sockets` (a directory where sockets may be
bound), `protect` (process ids that must not be signalled), `tasks` (of all that this user runs), `open_files`, `disk`
(bytes of one file), `wall` (bytes above that, for values), `cpu` (seconds), `walled` (whether another program keeps
files away). Memory is limited by `memory_quota`.
`report` tells what holds. It is not a boundary against a bug in the operating system's kernel.
"""

import ctypes
import errno
import json
import os
import platform
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import linux_process

INHERITED = "RLM_BOX"
"""The variable that carries the report over the execution of a kernel's command."""

report: dict[str, Any] = {
    "entered": False,
    "landlock": 0,  # its version; 0 if there is none
    "seccomp": False,
    "files": False,  # reads and writes only where the policy allows
    "network": False,  # no socket of any family
    "signals": False,  # no signal to a process outside
    "memory": None,
    "disk": None,
    "missing": [],  # sentences: what does not hold here, and why
}

# The rights of Landlock, in the order of their bits.
(
    EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR,
    MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV,
) = [1 << bit for bit in range(16)]  # fmt: skip
READ = EXECUTE | READ_FILE | READ_DIR
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
DEVICES = MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV  # in a scratch directory, root could else make a node of a disk

TRUNCATE_SINCE, TCP_SINCE, SCOPES_SINCE = 3, 4, 6  # versions of Landlock

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

# Numbers of system calls: (x86-64, AArch64); None where the call does not exist.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "process_madvise": (440, 440), "pidfd_getfd": (438, 438), "perf_event_open": (298, 241),
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fanotify_init": (300, 262),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "quotactl": (179, 60), "acct": (163, 89), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "sethostname": (170, 161), "setdomainname": (171, 162),
    "syslog": (103, 116), "vhangup": (153, 58), "iopl": (172, None), "ioperm": (173, None),
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239),
}  # fmt: skip
# The first argument is a process or thread, 0 the caller. Scheduling is only pretended for others, because
# libzmq ends the process when its own threads' cannot be set.
LIMIT_OF_PROCESS = (302, 261)
SCHEDULING = ((144, 119), (142, 118), (314, 274), (203, 122))
# Landlock does not cover owners, modes, times and attributes. Many programs set them in passing (copying a
# file, unpacking an archive), so they are told that it worked.
PRETENDED: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
CLONE, CLONE3, SETPRIORITY, TRUNCATE_PATH = (56, 220), (435, 435), (141, 140), (76, 45)
# A connection that was passed in must lead nowhere else: `connect` could end it and begin another, and so could
# sending with `MSG_FASTOPEN`. socket, connect, bind, listen:
ON_SOCKETS = ((41, 198), (42, 203), (49, 200), (50, 201))
SENDING = (
    ((44, 206), 3),
    ((46, 211), 2),
    ((307, 269), 3),
)  # with the number of the argument that has the flags
MSG_FASTOPEN = 0x20000000
SIGNALLING = ((62, 129), (200, 130), (234, 131), (129, 138), (297, 240), (424, 424))
NEW_NAMESPACES = 0x7E020000
SECCOMP = (317, 277)

# Elsewhere this module is loaded too, to tell that there is no box.
_libc: Any = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def _fail(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")


def landlock_version() -> int:
    """Returns the version of Landlock that this system has; 0 is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc.syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        number = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rule
    try:
        if not stat.S_ISDIR(os.fstat(number).st_mode):
            rights &= ON_FILES
        rule = struct.pack("<Qi", rights, number)
        if rights and _libc.syscall(445, ruleset, 1, rule, ctypes.c_uint32(0)):
            _fail(f"landlock_add_rule({path})")
    finally:
        os.close(number)


def _ruleset(version: int) -> tuple[int, int]:
    """Make a ruleset that governs all that this version of Landlock knows; return it and its file rights."""
    handled = REFER - 1
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        if version >= since:
            handled |= right
    network = 3 if version >= TCP_SINCE else 0  # bind and connect
    scoped = 3 if version >= SCOPES_SINCE else 0  # abstract sockets and signals
    attributes = struct.pack("<QQQ", handled, network, scoped)
    size = 24 if version >= SCOPES_SINCE else 16 if version >= TCP_SINCE else 8
    ruleset = int(_libc.syscall(444, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0)))
    if ruleset < 0:
        _fail("landlock_create_ruleset")
    return ruleset, handled


def confine_files(policy: dict[str, Any]) -> int:
    """Allow this thread, and all that it starts, only the paths of the policy; return Landlock's version."""
    version = landlock_version()
    if not version:
        return 0
    ruleset, handled = _ruleset(version)
    try:
        for path in policy.get("read", ()):
            _allow(ruleset, path, READ & handled)
        for path in policy.get("list", ()):
            _allow(ruleset, path, READ_DIR & handled)
        for path in policy.get("write", ()):
            _allow(ruleset, path, handled & ~DEVICES)
        for path in ("/dev/null", "/dev/zero", "/dev/full"):
            _allow(ruleset, path, (READ_FILE | WRITE_FILE | TRUNCATE) & handled)
        if policy.get("sockets"):
            _allow(ruleset, policy["sockets"], MAKE_SOCK)
        linux_process.prctl(linux_process.PR_SET_NO_NEW_PRIVS, 1)
        if _libc.syscall(446, ruleset, ctypes.c_uint32(0)):
            _fail("landlock_restrict_self")
    finally:
        os.close(ruleset)
    return version


def _drop_capabilities() -> None:
    """Root in the box is an ordinary user whose number is 0."""
    if os.geteuid() == 0:
        header = struct.pack("<Ii", 0x20080522, 0)
        number = 126 if platform.machine() == "x86_64" else 91
        if platform.machine() in ARCHITECTURES and _libc.syscall(number, header, bytes(24)):
            _fail("capset")


def limit(policy: dict[str, Any]) -> None:
    """Set the limits of the policy that this system knows."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    wanted = {
        "tasks": resource.RLIMIT_NPROC,  # root is exempt
        "open_files": resource.RLIMIT_NOFILE,
        "disk": resource.RLIMIT_FSIZE,
        "cpu": resource.RLIMIT_CPU,
    }
    for name, kind in wanted.items():
        value = policy.get(name)
        if value:
            _, hard = resource.getrlimit(kind)
            value = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
            most = value
            if name == "disk":  # a value that leaves the kernel may be larger
                most = hard if hard != resource.RLIM_INFINITY else value + int(policy.get("wall") or 0)
            resource.setrlimit(kind, (value, most))
            report[name] = value
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")  # if memory runs out, an agent goes first


def enter(policy: dict[str, Any]) -> None:
    """Limit resources and files. Call it while this process has one thread."""
    report["entered"] = True
    for part, step in (("limits", limit), ("files", _enter_files)):
        try:
            step(policy)
        except Exception as error:
            report["missing"].append(f"{part}: {error}")


def _enter_files(policy: dict[str, Any]) -> None:
    _drop_capabilities()
    report["landlock"] = version = confine_files(policy)
    report["files"], report["signals"] = version > 0, version >= SCOPES_SINCE
    if not version:
        report["missing"].append("files: this system has no Landlock, so an agent reads what you can read")


# -------------------------------------------------------------------------------------------------- seccomp

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_DENY = _ERROR | errno.EPERM


def _op(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value & 0xFFFFFFFF)


def _argument(index: int) -> bytes:
    return _op(_LOAD, 0, 0, 16 + 8 * index)  # the low half, on little-endian machines


def _on(number: int, body: list[bytes]) -> list[bytes]:
    """Run `body` when the call is `number`; a body must end with a return."""
    return [_op(_EQUAL, 0, len(body), number), *body]


def _answer(number: int | None, verdict: int) -> list[bytes]:
    return [] if number is None else _on(number, [_op(_RETURN, 0, 0, verdict)])


def _program(column: int, audit: int, protect: list[int], version: int) -> list[bytes]:
    """Write the filter: deny what leaves the box, pretend what it need not, allow the rest."""
    deny, allow = _op(_RETURN, 0, 0, _DENY), _op(_RETURN, 0, 0, _ALLOW)
    program = [_op(_LOAD, 0, 0, 4), _op(_EQUAL, 1, 0, audit), _op(_RETURN, 0, 0, _KILL), _op(_LOAD, 0, 0, 0)]
    if column == 0:
        program += [_op(_AT_LEAST, 0, 1, 0x40000000), deny]  # the x32 interface has numbers of its own
    for numbers in (*DENIED.values(), *ON_SOCKETS):
        program += _answer(numbers[column], _DENY)
    for numbers, flags in SENDING:
        program += _on(numbers[column], [_argument(flags), _op(_ANY_BIT, 0, 1, MSG_FASTOPEN), deny, allow])
    for numbers in PRETENDED.values():
        program += _answer(numbers[column], _ERROR)
    program += _on(LIMIT_OF_PROCESS[column], [_argument(0), _op(_EQUAL, 1, 0, 0), deny, allow])
    for pair in SCHEDULING:
        pretend = _op(_RETURN, 0, 0, _ERROR)
        program += _on(pair[column], [_argument(0), _op(_EQUAL, 1, 0, 0), pretend, allow])
    program += _on(
        SETPRIORITY[column],
        [_argument(0), _op(_EQUAL, 0, 2, 0), _argument(1), _op(_EQUAL, 1, 0, 0), deny, allow],
    )
    # A user namespace would give capabilities; glibc goes on with `clone` when there is no `clone3`.
    program += _on(CLONE[column], [_argument(0), _op(_ANY_BIT, 0, 1, NEW_NAMESPACES), deny, allow])
    program += _answer(CLONE3[column], _ERROR | errno.ENOSYS)
    if version < TRUNCATE_SINCE:
        program += _answer(TRUNCATE_PATH[column], _DENY)
    if version < SCOPES_SINCE:
        program += _no_signals(column, protect)
    return [*program, allow]


def _no_signals(column: int, protect: list[int]) -> list[bytes]:
    """Deny signals to the protected, their groups, and everyone: for systems whose Landlock cannot."""
    body = [_argument(0)]
    for pid in sorted({-1, *protect, *(-pid for pid in protect)}):
        body += [_op(_EQUAL, 0, 1, pid), _op(_RETURN, 0, 0, _DENY)]
    body.append(_op(_RETURN, 0, 0, _ALLOW))
    program = []
    for numbers in SIGNALLING[:-1]:
        program += _on(numbers[column], body)
    return program + _answer(SIGNALLING[-1][column], _DENY)


def confine_calls(policy: dict[str, Any]) -> None:
    """Filter the system calls of every thread of this process and of all that it starts.

    Raises:
        OSError: the system refuses the filter.
        NotImplementedError: not Linux, or a processor whose numbers are not known.
    """
    if not sys.platform.startswith("linux") or platform.machine() not in ARCHITECTURES:
        raise NotImplementedError(f"no filter of system calls for {sys.platform} on {platform.machine()}")
    column, audit = ARCHITECTURES[platform.machine()]
    program = _program(column, audit, list(policy.get("protect", ())), landlock_version())
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code))
    linux_process.prctl(linux_process.PR_SET_NO_NEW_PRIVS, 1)
    # Set a filter, for all threads (TSYNC); a positive answer is the thread that could not be brought along.
    result = _libc.syscall(SECCOMP[column], ctypes.c_uint(1), ctypes.c_uint(1), header)
    if result > 0:
        raise OSError(f"seccomp: thread {result} has a filter of its own")
    if result < 0:
        _fail("seccomp")


def join(policy: dict[str, Any]) -> None:
    """Do what is left to do in a kernel that runs: all that does not need a single thread."""
    inherited = os.environ.pop(INHERITED, None)
    if inherited:  # the supervisor confined this process before it executed the kernel's command
        report.update(json.loads(inherited))
    if not report["entered"]:
        if not policy.get("walled"):  # by bubblewrap
            report["missing"].append(
                "files: this kernel was started without the supervisor, so an agent reads what you can read"
            )
        try:
            limit(policy)
        except Exception as error:
            report["missing"].append(f"limits: {error}")
    close(policy)


def close(policy: dict[str, Any]) -> None:
    """Close the box: no new socket from now on. Call it when the kernel's own sockets exist."""
    if report["seccomp"]:
        return
    try:
        confine_calls(policy)
    except Exception as error:
        report["missing"].append(f"network: {error}")
    else:
        report["seccomp"] = report["network"] = report["signals"] = True
