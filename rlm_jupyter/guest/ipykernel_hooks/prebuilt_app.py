"""The application, the kernel and the shell of forked kernels, made in the fork server once for all of them.

Travels as source into the supervisor: standard library and ipykernel only. Making them takes half of the processor
time of a kernel's start, and touches thousands of pages, which a fork would have to copy. What belongs to one process
is made or set in the fork, by ipykernel's own steps: sockets, threads, event loops, streams, the environment,
directories and ids.
"""

# mypy: allow-untyped-calls
# ipykernel's and IPython's own methods have no types.

import atexit
import os
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from ipykernel import ipkernel
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.profiledir import ProfileDir
from IPython.paths import get_ipython_dir
from jupyter_client.session import new_id
from traitlets import default

from . import threadless_app

ARGUMENTS = ("--HistoryManager.enabled=False",)
"""What kernels are started with, besides their connection file."""
_OF_ITS_MAKING = frozenset({"parent", "session", "log", "profile_dir", "user_ns"})
"""What a kernel was given when it was made; the rest of what ipykernel makes it from are its channels."""


def _profile() -> str:
    return os.path.join(get_ipython_dir(), "profile_default")  # noqa: PTH118 - a str


class Profile(ProfileDir):
    """A profile whose directories are made when somebody asks for them; few agents do."""

    @default("location")
    def _make(self) -> str:
        return str(ProfileDir.create_profile_dir_by_name(get_ipython_dir(), "default").location)

    @default("startup_dir")
    def _find_startup_dir(self) -> str:  # each kernel looks whether there is one, and none needs it
        return os.path.join(_profile(), self.startup_dir_name)  # noqa: PTH118 - a str

    @default("log_dir")
    def _find_log_dir(self) -> str:
        return os.path.join(self.location, self.log_dir_name)  # noqa: PTH118 - a str

    @default("pid_dir")
    def _find_pid_dir(self) -> str:
        return os.path.join(self.location, self.pid_dir_name)  # noqa: PTH118 - a str

    @default("security_dir")
    def _find_security_dir(self) -> str:
        return os.path.join(self.location, self.security_dir_name)  # noqa: PTH118 - a str

    @default("static_dir")
    def _find_static_dir(self) -> str:
        return os.path.join(self.location, self.static_dir_name)  # noqa: PTH118 - a str


class Kernel(threadless_app.Kernel):
    """A kernel that was made without channels, and takes them from whoever wants to make it again."""

    @classmethod
    def instance(cls, *args: Any, **options: Any) -> Any:
        """Returns the kernel; with options, after it has taken its channels from them."""
        made = cls.initialized()
        kernel = super().instance(*args, **options)
        if made and options:
            kernel.connect(options)
        return kernel

    def connect(self, options: dict[str, Any]) -> None:
        """Take what belongs to this process: channels, streams, identity and environment."""
        for name in options.keys() - _OF_ITS_MAKING:
            setattr(self, name, options[name])
        self._stdout, self._stderr = sys.stdout, sys.stderr
        self.ident = str(uuid.uuid4())
        shell: Any = self.shell
        shell.displayhook.pub_socket = shell.display_pub.pub_socket = self.iopub_socket
        shell.displayhook.topic = self._topic("execute_result")
        shell.init_environment()
        shell.init_ipython_dir(None)
        shell.init_virtualenv()
        shell.init_pushd_popd_magic()
        shell.history_manager.hist_file = Path(_profile(), "history.sqlite")
        shell.starting_dir = os.getcwd()  # noqa: PTH109 - IPython's is a str
        shell.save_sys_module_state()
        # Last in, first out: the shell ends before the channels do.
        atexit.unregister(shell.atexit_operations)
        atexit.register(shell.atexit_operations)


class App(threadless_app.App):
    """The application; `build` does what can be done before the fork, `initialize` the rest."""

    kernel_type = Kernel
    built = False

    def build(self) -> None:
        """Make the kernel and its shell. Runs in the fork server."""
        self.parse_command_line(["-f", "", *ARGUMENTS])
        self.profile_dir = ProfileDir(parent=self)  # of no place
        self.kernel = Kernel.instance(
            parent=self,
            session=self.session,
            log=self.log,
            profile_dir=self.profile_dir,
            user_ns=self.user_ns,
        )
        self.init_shell()
        self.init_extensions()
        self.init_code()
        self.built = True
        _use(self.shell)
        shell: Any = self.shell
        self.profile_dir = self.kernel.profile_dir = shell.profile_dir = Profile(parent=self)

    def parse_command_line(self, argv: Any = None) -> None:
        """Take the connection file, once all else has been taken."""
        if not self.built:
            super().parse_command_line(argv)
            return
        self.connection_file = argv[1]
        self.session.session, self.session.pid = new_id(), os.getpid()

    def init_profile_dir(self) -> None:
        """Leave it: there is one."""

    def init_config_files(self) -> None:
        """Read none, as `load_config_file`."""

    def update_config(self, config: Any) -> None:
        """Take settings, until all has been made from them."""
        if not self.built:
            super().update_config(config)

    def init_shell(self) -> None:
        """Take the kernel's shell, once."""
        if not self.built:
            super().init_shell()

    def init_extensions(self) -> None:
        """Load IPython's extensions, once."""
        if not self.built:
            super().init_extensions()

    def init_code(self) -> None:
        """Run startup files in the fork; there is no other code, and all else that IPython does here is done."""
        if not self.built:
            super().init_code()
            return
        self._run_startup_files()
        shell: Any = self.shell
        shell.user_ns_hidden.update(shell.user_ns)
        sys.stdout.flush()
        sys.stderr.flush()

    def _run_startup_files(self) -> None:
        if self.built:
            super()._run_startup_files()


def _use(shell: Any) -> None:
    """Run a cell that does nothing: what is made or compiled at the first cell is then there for all kernels."""
    shell.display_formatter.formatters  # noqa: B018 - made when they are first asked for
    shell.run_cell("None", silent=True)
    shell.user_expressions({"none": "None"})


def build() -> None:
    """Make all of it, for the forks of this process. An error leaves nothing behind."""
    before, main = tempfile.tempdir, sys.modules["__main__"]
    os.environ["IPYTHONDIR"] = os.getcwd()  # noqa: PTH109 - a str; else IPython makes a directory at home
    try:
        App.instance(parent_handle=0, user_ns={}).build()
    except BaseException:
        discard()
        sys.modules["__main__"] = main
        raise
    finally:
        tempfile.tempdir = before  # a kernel has its own
        del os.environ["IPYTHONDIR"]


def discard() -> None:
    """Forget what was made, so that another can be made."""
    shells = ZMQInteractiveShell
    if shells.initialized():
        atexit.unregister(shells.instance().atexit_operations)
    for kind in (App, Kernel, shells):
        kind.clear_instance()
    ipkernel._comm_manager = None  # noqa: SLF001 - it belongs to the kernel


def application(argv: list[str]) -> Any:
    """Returns the application for a kernel with these arguments: that which was made, or one to be made yet.

    Args:
        argv: `-f`, the connection file, and what else the kernel was started with.
    """
    if App.initialized():
        app = App.instance()
        if app.built and argv[:1] == ["-f"] and tuple(argv[2:]) == ARGUMENTS:
            return app
        discard()
    # The kernel dies with the supervisor by PDEATHSIG, so ipykernel's own polling thread has nothing to do.
    return threadless_app.App.instance(parent_handle=0, user_ns={})
