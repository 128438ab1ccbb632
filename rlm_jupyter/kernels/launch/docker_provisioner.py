"""Kernels in containers of Docker (`docker:IMAGE`): started by its command line, with no network and no privileges.

The kernel's sockets are files in a directory that both sides see, so that the container needs no network at all. It
was written to Docker's documentation (https://docs.docker.com/reference/cli/docker/container/run/); the tests run it
against a stand-in for the program.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from rlm_jupyter.errors import KernelStartError

PREFIX = "docker:"
NAME = "rlm-docker"
"""Of the provisioner, in the metadata of a kernelspec."""
LABEL = "rlm_jupyter"
"""Of all containers, to find those of a process that was killed: `docker ps --filter label=rlm_jupyter`."""
ARGV = ("-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False")
_IMAGE = re.compile(r"[a-z0-9][\w./:@-]{0,254}", re.ASCII)
_REMOVE_SECONDS = 20.0
_PLACE = "/tmp"  # noqa: S108 - in the container


def is_docker(name: str | None) -> bool:
    """Returns whether the setting `kernel` names an image of Docker."""
    return name is not None and name.startswith(PREFIX)


def docker_spec(name: str) -> KernelSpec:
    """Returns the kernelspec of a kernel in a container.

    Raises:
        KernelStartError: it names no image, or there is no program `docker`.
    """
    image = name.removeprefix(PREFIX)
    if not _IMAGE.fullmatch(image):
        raise KernelStartError(
            f"`{name[:80]}` names no image: write `docker:IMAGE`, such as `docker:jupyter/scipy-notebook`."
        )
    if sys.platform == "win32":
        raise KernelStartError(
            f"The kernel `{name[:80]}` does not work on Windows: use one behind a gateway."
        )
    if shutil.which("docker") is None:
        raise KernelStartError(
            f"The kernel `{name[:80]}` needs the program `docker`, which is not on the `PATH`: install it, or leave "
            "`kernel` out."
        )
    return KernelSpec(
        argv=["python", *ARGV],
        display_name=name,
        language="python",
        interrupt_mode="message",
        metadata={"kernel_provisioner": {"provisioner_name": NAME, "config": {"image": image}}},
    )


def image_of(spec: KernelSpec) -> str | None:
    """Returns the image in which a kernelspec's kernel runs; None if it runs in no container of ours."""
    told = spec.metadata.get("kernel_provisioner") or {}
    return str(told["config"]["image"]) if told.get("provisioner_name") == NAME else None


def refuse_limits(limits: Mapping[str, Any]) -> None:
    """Refuse what a container is not given.

    Raises:
        KernelStartError: the field of the sandbox, and what to do.
    """
    wrong = [name for name in ("read", "net", "scratch") if limits.get(name)]
    if wrong:
        raise KernelStartError(
            f"`{wrong[0]}` of the sandbox is not for kernels in a container, which have no network and see no files of "
            "this machine: leave it out, and hand data over as variables."
        )


def docker_command(
    image: str, command: Sequence[str], *, name: str, shared: Sequence[Path], limits: Mapping[str, Any]
) -> list[str]:
    """Returns the command that runs a kernel in a container.

    Args:
        image: its image, which is not downloaded.
        command: of the kernel, the program first.
        name: of the container.
        shared: the connection file, which is only read, and the directory of the kernel's sockets.
        limits: `memory` (bytes) and `processes`; None or missing is no limit.
    """
    connection, sockets = shared
    program, *arguments = command
    options = ["--rm", "--init", "--pull", "never", "--name", name, "--label", LABEL]
    options += ["--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    options += [
        "--read-only",
        "--tmpfs",
        f"{_PLACE}:rw,exec,mode=1777",
        "--workdir",
        _PLACE,
        "--env",
        f"HOME={_PLACE}",
    ]
    options += ["--user", f"{os.getuid()}:{os.getgid()}"]
    options += ["--mount", f"type=bind,source={connection},target={connection},readonly"]
    options += ["--mount", f"type=bind,source={sockets},target={sockets}"]
    if limits.get("memory"):  # and no swap besides
        options += ["--memory", str(limits["memory"]), "--memory-swap", str(limits["memory"])]
    if limits.get("processes"):
        options += ["--pids-limit", str(limits["processes"])]
    return ["docker", "run", *options, "--entrypoint", program, image, *arguments]


class DockerProvisioner(LocalProvisioner):
    """Starts a kernel in a container, and removes the container when the kernel is to end.

    Attributes:
        image: of the container.
        directory: of the kernel on this machine; its connection file and its sockets lie there.
        limits: of the container; see `docker_command`.
    """

    image = ""
    directory = Path()
    limits: Mapping[str, Any] = {}

    @property
    def container(self) -> str:
        """The name of the container."""
        return f"rlm-{os.getpid()}-{self.kernel_id}"

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Write the connection file, and put the kernel's command into that of a container."""
        options = await super().pre_launch(**kwargs)
        shared = (self.directory / "c.json", self.directory / "sockets")
        # The Python of the image, not this one, for which jupyter_client takes the word `python`.
        command = ["python", *options["cmd"][1:]]
        options["cmd"] = docker_command(
            self.image, command, name=self.container, shared=shared, limits=self.limits
        )
        return options

    async def kill(self, restart: bool = False) -> None:
        """Remove the container, with all that runs in it; then end the program that waits for it."""
        await asyncio.to_thread(self._remove)
        await super().kill(restart)

    async def terminate(self, restart: bool = False) -> None:
        """Do as `kill`: what runs in the container is killed."""
        await self.kill(restart)

    def _remove(self) -> None:
        command = ["docker", "rm", "--force", self.container]
        try:
            subprocess.run(command, timeout=_REMOVE_SECONDS, capture_output=True, check=False)  # noqa: S603 - a name of ours
        except (OSError, subprocess.TimeoutExpired):
            return  # Docker does not answer: it is told of by what the program that waits does
