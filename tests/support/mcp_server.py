"""A real MCP server for tests: over stdio, or over HTTP on a port that it prints. Run as a script."""

import os
import socket
import subprocess
import sys
import time

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("shop", log_level="ERROR")
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fccfc0f01f"
    "0005050201a2b8e4c50000000049454e44ae426082"
)


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def stock(article: str) -> dict[str, int]:
    """Returns the pieces of an article in each store."""
    return {"north": len(article), "south": 0}


@server.tool()
def picture() -> Image:
    """Returns the shop's picture."""
    return Image(data=PIXEL, format="png")


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("there is no such article")


@server.tool()
def headers(ctx: Context) -> dict[str, str]:
    """Returns the headers of the request."""
    return dict(ctx.request_context.request.headers)


@server.tool()
def linger(seconds: float) -> str:
    """Take long."""
    time.sleep(seconds)
    return "done"


@server.tool()
def process(variable: str) -> dict[str, str]:
    """Describes the server's process."""
    return {"pid": str(os.getpid()), "value": os.environ.get(variable, "not set")}


@server.tool()
def detach() -> int:
    """Start a process that leaves the server's group, as a daemon does; give its id."""
    return subprocess.Popen(["sleep", "300"], start_new_session=True).pid


@server.tool()
def die() -> str:
    """End the server."""
    sys.stderr.write("the shop burns\n")
    sys.stderr.flush()
    os._exit(3)


@server.resource("shop://rules", description="What holds here", mime_type="text/plain")
def rules() -> str:
    return "no refunds"


@server.resource("shop://logo", mime_type="image/png")
def logo() -> bytes:
    return PIXEL


@server.resource("shop://articles/{name}")
def article(name: str) -> str:
    """An article."""
    return f"about {name}"


def main():
    if sys.argv[1] == "stdio":
        server.run("stdio")
    elif sys.argv[1] == "broken":
        sys.exit(f"no database at {os.environ.get('SHOP_TOKEN', 'home')}")
    elif sys.argv[1] == "stubborn":  # reads nothing, ends by nothing
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(300)
    else:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        server.run("streamable-http", port=port)


if __name__ == "__main__":
    main()
