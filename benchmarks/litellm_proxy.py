"""`python -m benchmarks.litellm_proxy`: a real LiteLLM proxy in front of the scripted server of the tests, fault by fault.

The proxy is installed into an environment of its own (`.venvs/litellm`; 750 MB and a network, which is why it is not
part of the tests), and listens on loopback. Each fault of `tests/support/openai_faults.py` is the upstream's first answer,
and a good reply its second: the table says what came through, and the exit code is 1 if anything else came than is
expected. `--command PATH` names a `litellm` that is installed already.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from openai_server import FAULTS, OpenAIServer, Reply  # noqa: E402 - of the tests
from wire_servers import MessagesServer, ResponsesServer  # noqa: E402 - of the tests

from rlm_jupyter.errors import AuthenticationError, ContextTooLongError, ModelError  # noqa: E402
from rlm_jupyter.models import CompletionRequest, Image, RetryPolicy, named_model  # noqa: E402

VERSION = "1.108"
KEY = "sk-proxy-0123456789"
START_SECONDS = 180.0
PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
FINE = "a good reply"
FINAL: dict[str, type[ModelError]] = {
    "quota": ModelError,
    "unauthorized": AuthenticationError,
    "forbidden": AuthenticationError,
    "context_too_long": ContextTooLongError,
    "model_not_found": ModelError,
    "not_found_html": ModelError,
    "bad_request": ModelError,
}
"""Faults that cannot pass, and what they are to end in; all others are to end in a reply."""
BROKEN = ("reset_mid_body", "truncated", "error_event", "late_hang")
"""Faults whose text is never finished, so that a reply with it is none."""
HIDDEN = {("truncated", True): "the proxy ends the stream as if it were whole"}
"""What the proxy hides, so that nobody behind it can know."""
SLOW = ("hang", "late_hang", "late")
"""Faults in which nothing comes: the model's time-out is short for them."""
PNG = (
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c636000000002000148afa471"
    "0000000049454e44ae426082"
)


@dataclass
class Outcome:
    """What came of one request: the reply or the error, and how often the upstream was asked."""

    name: str
    streamed: bool
    result: Any
    upstream: int

    @property
    def good(self) -> bool:
        """Whether it is what is expected."""
        if self.name in FINAL:
            return isinstance(self.result, FINAL[self.name]) and KEY not in str(self.result)
        if isinstance(self.result, Exception):
            return False
        return self.name not in BROKEN or self.result.text == FINE

    @property
    def verdict(self) -> str:
        """Returns the last cell of the row."""
        return "yes" if self.good else HIDDEN.get((self.name, self.streamed), "**no**")

    def line(self) -> str:
        """Returns a row of the table."""
        way = "streamed" if self.streamed else "whole"
        if isinstance(self.result, Exception):
            what = f"`{type(self.result).__name__}`: {str(self.result).partition(' It said: ')[2][:90]}"
        else:
            reply = self.result
            usage = reply.usage
            told = (
                "no usage" if usage is None else f"{usage.prompt_tokens} + {usage.completion_tokens} tokens"
            )
            cost = "" if reply.cost is None else f", ${reply.cost:.2g}"
            what = (
                f"`{reply.text[:20]}` ({reply.finish_reason}) after {reply.attempts} requests; {told}{cost}"
            )
        return f"| {self.name} | {way} | {what} | {self.upstream} | {self.verdict} |"


def command() -> str:
    """Returns the proxy's program, installed if it is not."""
    home = ROOT / ".venvs" / "litellm"
    program = home / "bin" / "litellm"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        packages = [f"litellm[proxy]=={VERSION}.*"]
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", *packages], check=True)
    return str(program)


def _model(name: str, model: str, url: str, key: str = "sk-upstream-0123456789") -> dict[str, Any]:
    """Returns the proxy's entry for one of its models."""
    behind = {"model": model, "api_base": url, "api_key": key, **PRICES}
    return {"model_name": name, "litellm_params": behind, "model_info": {"max_input_tokens": 4096}}


@contextlib.contextmanager
def proxy(program: str, models: list[dict[str, Any]]) -> Iterator[str]:
    """Run the proxy in front of upstreams; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "model_list": models,
        # What it does by itself is switched off, so that each fault is seen.
        "litellm_settings": {"num_retries": 0, "request_timeout": 600},
        "router_settings": {"disable_cooldowns": True, "num_retries": 0},
        "general_settings": {"master_key": KEY},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proxy.yaml"
        path.write_text(json.dumps(settings), "utf-8")
        arguments = [
            "--config",
            str(path),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--telemetry",
            "False",
        ]
        env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with (Path(folder) / "proxy.log").open("w") as log:
            process = subprocess.Popen([program, *arguments], env=env, cwd=folder, stdout=log, stderr=log)
            try:
                _wait(process, f"http://127.0.0.1:{port}")
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait(60)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health/readiness", timeout=5):
            return
        time.sleep(0.5)
    sys.exit("The proxy did not start.")


async def ask(
    url: str,
    *,
    streamed: bool,
    silence: float = 60.0,
    key: str = KEY,
    name: str = "litellm/m",
    **message: Any,
) -> Any:
    """Ask a model of the proxy once; returns the completion or the error."""
    env = {"LITELLM_PROXY_API_BASE": url, "LITELLM_PROXY_API_KEY": key}
    retry = RetryPolicy(attempts=3, first_wait=0.05, longest_backoff=0.1, longest_wait=0.2)
    model = named_model(name, env=env, retry=retry, timeout=silence)
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How many?", **message},
    ]
    request = CompletionRequest(messages, 100, on_delta=(lambda _: None) if streamed else None)
    try:
        return await model.complete(request)
    except ModelError as error:
        return error
    finally:
        await model.aclose()


def faults(server: OpenAIServer, url: str) -> Iterator[Outcome]:
    """Yields what came of each fault, whole and streamed."""
    for name, fault in FAULTS.items():
        for streamed in (False, True):
            before = server.calls
            answers = iter([fault])
            server.script = lambda _, answers=answers: next(answers, Reply(FINE))
            silence = 1.5 if name in SLOW else 60.0
            result = asyncio.run(ask(url, streamed=streamed, silence=silence))
            yield Outcome(name, streamed, result, server.calls - before)


def others(server: OpenAIServer, url: str) -> Iterator[Outcome]:
    """Yields what came of a good reply, of images, and of a name and a key that the proxy does not know."""
    server.script = lambda _: Reply(FINE)
    for streamed in (False, True):
        yield Outcome("a good reply", streamed, asyncio.run(ask(url, streamed=streamed)), 1)
        image = Image(bytes.fromhex(PNG), 1, 1)
        reply = asyncio.run(ask(url, streamed=streamed, images=(image,)))
        sent = json.dumps(server.requests[-1]["messages"])
        if image.base64 not in sent:
            reply = ModelError("the image did not reach the upstream")
        yield Outcome("an image", streamed, reply, 1)
    FINAL.update({"an unknown model": ModelError, "a wrong key": AuthenticationError})
    yield Outcome("an unknown model", True, asyncio.run(ask(url, streamed=True, name="litellm/nowhere")), 0)
    yield Outcome("a wrong key", True, asyncio.run(ask(url, streamed=True, key="sk-wrong-0123456789")), 0)


def wire_formats(url: str) -> Iterator[Outcome]:
    """Yields what came of good replies in each of our wire formats, from upstreams in each of theirs."""
    for name in ("responses/r", "messages/r", "messages/a", "chat/a", "responses/a", "messages/c"):
        for streamed in (False, True):
            reply = asyncio.run(ask(url, streamed=streamed, name=f"litellm+{name}"))
            yield Outcome(f"`litellm+{name}`", streamed, reply, 1)


def main() -> int:
    """Print the table; returns 1 if anything is not as expected."""
    parser = argparse.ArgumentParser(description="A real LiteLLM proxy in front of the scripted server.")
    parser.add_argument("--command", help="the `litellm` to run; default: one that is installed for it")
    program = parser.parse_args().command or command()
    print(
        "| upstream's first answer | | what came | requests upstream | as expected |\n|---|---|---|---|---|"
    )
    bad = 0
    with (
        OpenAIServer() as server,
        OpenAIServer(lambda _: FINE) as chat,
        ResponsesServer(lambda _: Reply(FINE, message={"reasoning": "hm"})) as responses,
        MessagesServer(lambda _: FINE) as messages,
        proxy(
            program,
            [
                _model("m", "openai/test-model", server.url),
                _model("c", "hosted_vllm/test-model", chat.url),
                _model("r", "openai/test-model", responses.url),
                _model("a", "anthropic/claude-test", messages.url.removesuffix("/v1"), messages.key),
            ],
        ) as url,
    ):
        for outcome in itertools.chain(wire_formats(url), others(server, url), faults(server, url)):
            bad += outcome.verdict == "**no**"
            print(outcome.line(), flush=True)
    print(f"\n{bad} not as expected")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
