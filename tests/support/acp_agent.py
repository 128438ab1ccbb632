"""An agent of the Agent Client Protocol, made with its own package: run as a program, it does what its argument says."""

import asyncio
import json
import os
import sys
from pathlib import Path

import acp
from acp.exceptions import RequestError
from acp.schema import PermissionOption, PromptResponse, ToolCallUpdate, Usage


class TestAgent(acp.Agent):
    """One agent of a test: `behaviour` names what it does with a prompt."""

    def __init__(self, behaviour, argument):
        self.behaviour = behaviour
        self.argument = argument
        self.client = None
        self.mode = "default"

    def on_connect(self, conn):
        self.client = conn

    async def initialize(self, protocol_version, client_capabilities=None, client_info=None, **_):
        self.capabilities = client_capabilities
        return acp.InitializeResponse(protocol_version=7 if self.behaviour == "newer" else protocol_version)

    async def new_session(self, cwd, additional_directories=None, mcp_servers=None, **_):
        if self.behaviour == "signed out":
            raise RequestError.auth_required({"details": "run `agent login`"})
        self.cwd, self.servers = cwd, mcp_servers
        return acp.NewSessionResponse(session_id="session-1")

    async def set_session_mode(self, session_id, mode_id, **_):
        if mode_id == "none":
            raise RequestError.invalid_params({"details": "There is no mode none."})
        self.mode = mode_id

    def files(self):
        return [file.name for file in Path(self.cwd).iterdir()]

    def note(self, text):
        with Path(self.argument).open("a") as file:
            file.write(text)

    async def cancel(self, session_id, **_):
        self.note(" cancelled")

    async def prompt(self, prompt, session_id, **_):
        text = "".join(block.text for block in prompt)
        answer = getattr(self, f"do_{self.behaviour.replace(' ', '_')}", None)
        told = await answer(text, session_id) if answer else None
        if isinstance(told, PromptResponse):
            return told
        return PromptResponse(stop_reason=told or "end_turn")

    async def say(self, session_id, text):
        await self.client.session_update(session_id, acp.update_agent_message_text(text))

    async def do_echo(self, text, session_id):
        await self.client.session_update(session_id, acp.update_agent_thought_text("Hmm, ä."))
        await self.client.session_update("another-session", acp.update_agent_message_text("not mine"))
        await self.say(session_id, f"{len(text)}: ")
        await self.say(session_id, text)
        return PromptResponse(
            stop_reason="end_turn",
            usage=Usage(
                total_tokens=190, input_tokens=100, output_tokens=20, thought_tokens=30, cached_read_tokens=40
            ),
        )

    async def do_surroundings(self, text, session_id):
        told = {
            "cwd": self.cwd,
            "files": self.files(),
            "servers": len(self.servers or []),
            "mode": self.mode,
            "terminal": self.capabilities.terminal,
            "read": self.capabilities.fs.read_text_file,
            "key": os.environ.get("OPENAI_API_KEY"),
            "given": os.environ.get("ACP_TEST"),
        }
        await self.say(session_id, json.dumps(told))

    async def do_ask_for_all(self, text, session_id):
        told = []
        options = [
            PermissionOption(option_id="yes", name="Allow", kind="allow_always"),
            PermissionOption(option_id="no", name="Reject", kind="reject_once"),
        ]
        for offered in (options, options[:1]):
            asked = await self.client.request_permission(
                session_id=session_id, tool_call=ToolCallUpdate(tool_call_id="1", title="rm"), options=offered
            )
            told.append(getattr(asked.outcome, "option_id", asked.outcome.outcome))
        try:
            await self.client.read_text_file(session_id=session_id, path="/etc/passwd")
        except RequestError as error:
            told.append(str(error.code))
        try:
            await self.client.create_terminal(session_id=session_id, command="id")
        except RequestError as error:
            told.append(str(error.code))
        await self.say(session_id, " ".join(told))

    async def do_refuse(self, text, session_id):
        await self.say(session_id, "I would rather not.")
        return "refusal"

    async def do_cut(self, text, session_id):
        await self.say(session_id, "The first ha")
        return "max_tokens"

    async def do_cancelled(self, text, session_id):
        return "cancelled"

    async def do_die(self, text, session_id):
        os.write(2, b"out of memory\n")
        os._exit(3)

    async def do_wait(self, text, session_id):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
        self.note(f"{child.pid}")
        await asyncio.sleep(600)

    async def do_flood(self, text, session_id):
        while True:
            await self.say(session_id, "x" * 100_000)

    async def do_final(self, text, session_id):
        assert "How many?" in text
        await self.say(session_id, "I look.\n```repl\nFINAL(len(context))\n```\n")


def raw(behaviour):
    """Write what is no protocol."""
    out = sys.stdout.buffer
    if behaviour == "raw greeting":
        for line in sys.stdin:
            asked = json.loads(line)
            out.write(b"Welcome!\n[1, 2]\n\xff\n" + b"[" * 100_000 + b"\n")
            answers = {"initialize": {"protocolVersion": 1}, "session/new": {"sessionId": "s"}}
            if asked["method"] == "session/prompt":
                chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "done"}}
                odd = [
                    None,
                    1,
                    {"sessionUpdate": "agent_message_chunk", "content": 3},
                    {"sessionUpdate": ["x"]},
                    chunk,
                ]
                for update in odd:
                    told = {"method": "session/update", "params": {"sessionId": "s", "update": update}}
                    out.write(json.dumps(told).encode() + b"\n")
                usage = {"inputTokens": -1, "outputTokens": "many"}
                answers["session/prompt"] = {"stopReason": ["odd"], "usage": usage}
            out.write(json.dumps({"id": asked["id"], "result": answers[asked["method"]]}).encode() + b"\n")
            out.flush()
    elif behaviour == "raw lines":
        while True:
            out.write(b"This program prints text.\n")
    else:
        while True:
            out.write(b"x" * 1_000_000)


if __name__ == "__main__":
    doing, given = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    if doing.startswith("raw"):
        raw(doing)
    else:
        asyncio.run(acp.run_agent(TestAgent(doing, given)))
