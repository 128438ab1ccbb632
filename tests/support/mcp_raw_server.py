"""An MCP server without the package, with oddities of real ones. Run as a script: MODE...

noise: a banner and log lines between its messages, JSON among them, in another encoding too. only-noise: that alone.
stderr: floods stderr before it answers. pages: a tool to a page. no-data: a tool that promises data answers with text.
wrong-data: its data are not what it promises. large: 20 MB of text in one line. late: 3 s until the first answer.
names: tools with dashes, dots and spaces in their names.
"""
# ruff: noqa: T201

import json
import sys
import time

MODES = set(sys.argv[1:])
NAMES = ["get-user.by id", "a/b"] if "names" in MODES else ["first", "second", "third"]
TOOLS = [{"name": name, "description": f"Tool {name}.", "inputSchema": {"type": "object"}} for name in NAMES]
if MODES & {"no-data", "wrong-data"}:
    data = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
    TOOLS[0]["outputSchema"] = data


def noise(text):
    if MODES & {"noise", "only-noise"}:
        print(text, flush=True)
        print('{"level": "info", "msg": "a log in JSON"}', flush=True)
        sys.stdout.buffer.write(b"gr\xfc\xdfe\n\n")
        sys.stdout.flush()


def answer(method, given):
    if method == "initialize":
        about = {"name": "raw", "version": "1"}
        return {
            "protocolVersion": given["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": about,
        }
    if method == "tools/list":
        if "pages" not in MODES:
            return {"tools": TOOLS}
        at = int(given.get("cursor") or 0)
        return {"tools": TOOLS[at : at + 1], **({"nextCursor": str(at + 1)} if at + 1 < len(TOOLS) else {})}
    if method == "tools/call":
        text = "x" * 20_000_000 if "large" in MODES else f"called {given['name']}"
        wrong = {"structuredContent": {"total": "seven"}} if "wrong-data" in MODES else {}
        return {"content": [{"type": "text", "text": text}], **wrong}
    return {}


noise("Shop server 1.2 is ready")
if "late" in MODES:
    time.sleep(3)
if "stderr" in MODES:
    sys.stderr.write("warning: something\n" * 250_000)
for line in sys.stdin:
    message = json.loads(line)
    noise(f"handling {message.get('method')}")
    if "id" in message and "only-noise" not in MODES:
        result = answer(message["method"], message.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
