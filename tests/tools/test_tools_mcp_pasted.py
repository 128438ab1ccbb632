"""Lists of MCP servers, pasted as other clients have them."""

import sys
from pathlib import Path

import pytest
from magics_parts import terminal_shell
from tool_runs import asking

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.magics import notebook_lookup
from rlm_jupyter.tools.mcp_config import read_servers

SHOP = {"command": "npx", "args": ["-y", "shop"]}
URL = "https://shop.example/mcp"


@pytest.mark.parametrize(
    "given",
    [
        {"shop": SHOP},
        {"mcpServers": {"shop": SHOP}},
        {"$schema": "https://x.example/s.json", "mcpServers": {"shop": SHOP}},
        {"servers": {"shop": {"type": "stdio", **SHOP}}, "inputs": [{"id": "key", "type": "promptString"}]},
        {"mcp": {"servers": {"shop": SHOP}, "inputs": []}, "editor.fontSize": 12},
        {"mcp.servers": {"shop": SHOP}},
        {"context_servers": {"shop": {"source": "custom", **SHOP}}, "theme": "dark"},
        {"context_servers": {"shop": {"command": {"path": "npx", "args": ["-y", "shop"], "env": None}}}},
        {"mcp": {"shop": {"type": "local", "command": ["npx", "-y", "shop"], "enabled": True}}},
        {"mcp_servers": {"shop": {**SHOP, "startup_timeout_sec": 20}}},
        {"shop": {"command": "npx -y shop"}},
        {
            "shop": {
                **SHOP,
                "disabled": False,
                "autoApprove": ["add"],
                "alwaysAllow": [],
                "description": "A shop",
            }
        },
        {"shop": {**SHOP, "transport": "stdio", "tools": ["*"], "env": None, "_note": 1}},
        {"mcpServers": {"old": {**SHOP, "disabled": True}, "shop": SHOP, "off": {**SHOP, "enabled": False}}},
        {"mcpServers": {}, "shop": SHOP},
    ],
)
def test_a_command_is_read_from_lists_of_other_clients(given):
    (server,) = read_servers(given).values()
    assert (server.name, server.command, server.url, server.env) == ("shop", ("npx", "-y", "shop"), None, {})


@pytest.mark.parametrize(
    ("given", "sse"),
    [
        ({"url": URL}, False),
        ({"serverUrl": URL}, False),
        ({"httpUrl": URL, "trust": True}, False),
        ({"type": "http", "url": URL}, False),
        ({"type": "streamable-http", "url": URL}, False),
        ({"type": "streamableHttp", "url": URL}, False),
        ({"transport": "streamable_http", "url": URL}, False),
        ({"type": "remote", "url": URL, "enabled": True}, False),
        ({"type": "sse", "url": URL}, True),
        ({"transport": {"type": "sse"}, "url": URL}, True),
    ],
)
def test_a_url_is_read_from_lists_of_other_clients(given, sse):
    server = read_servers({"mcpServers": {"shop": given}})["shop"]
    assert (server.command, server.url, server.sse) == ((), URL, sse)


def test_values_are_taken_from_the_environment_and_are_secrets(monkeypatch):
    monkeypatch.setenv("RLM_SHOP_KEY", "swordfish")
    monkeypatch.setenv("RLM_SHOP_REGION", "Germany")
    monkeypatch.delenv("RLM_NOT_SET", raising=False)
    server = read_servers(
        {
            "shop": {
                "command": "${userHome}/bin/shop",
                "args": [
                    "--key",
                    "${env:RLM_SHOP_KEY}",
                    "--region=${RLM_SHOP_REGION}",
                    "${workspaceFolder}",
                    8080,
                ],
                "env": {
                    "A": "${env:RLM_SHOP_KEY}",
                    "B": "${RLM_NOT_SET:-fallback}",
                    "C": "{env:RLM_SHOP_REGION}",
                    "D": "$RLM_SHOP_KEY",
                    "PORT": 3000,
                    "DEBUG": True,
                    "NOTHING": None,
                    "PRICE": "$5",
                },
            }
        }
    )["shop"]
    assert server.command == (
        f"{Path.home()}/bin/shop", "--key", "swordfish", "--region=Germany", str(Path.cwd()), "8080",
    )  # fmt: skip
    assert server.env == {
        "A": "swordfish", "B": "fallback", "C": "Germany", "D": "swordfish", "PORT": "3000", "DEBUG": "true", "PRICE": "$5",
    }  # fmt: skip
    assert "swordfish" in server.secrets
    assert "Germany" not in server.secrets
    assert "swordfish" not in repr({**vars(server), "command": (), "env": {}, "handed": {}})


def test_headers_and_tokens_of_other_clients(monkeypatch):
    monkeypatch.setenv("RLM_SHOP_TOKEN", "tok-5f3a9b1c")
    given = {
        "a": {"url": URL, "headers": {"Authorization": "Bearer ${env:RLM_SHOP_TOKEN}", "X-Region": "europe"}},
        "b": {"url": URL, "requestInit": {"headers": {"Authorization": "Bearer $RLM"}}},
        "c": {"url": URL, "bearer_token_env_var": "RLM_SHOP_TOKEN"},
        "d": {
            "url": URL,
            "http_headers": {"X-Api-Key": "abcdef"},
            "env_http_headers": {"X-T": "RLM_SHOP_TOKEN"},
        },
        "e": {"url": f"{URL}?api_key=abc123xyz&region=europe"},
    }
    servers = read_servers(given)
    assert servers["a"].headers == {"Authorization": "Bearer tok-5f3a9b1c", "X-Region": "europe"}
    assert servers["b"].headers == {"Authorization": "Bearer $RLM"}
    assert servers["c"].headers == {"Authorization": "Bearer tok-5f3a9b1c"}
    assert servers["d"].headers == {"X-Api-Key": "abcdef", "X-T": "tok-5f3a9b1c"}
    for name in "acd":
        assert "tok-5f3a9b1c" in servers[name].secrets
    assert "europe" not in servers["a"].secrets
    assert "abcdef" in servers["d"].secrets
    assert servers["e"].secrets == ["abc123xyz"]


@pytest.mark.parametrize(("timeout", "seconds"), [(60, 60), (2.5, 2.5), (3600, 3600), (30_000, 30)])
def test_a_large_timeout_is_one_in_milliseconds(timeout, seconds):
    assert read_servers({"shop": {**SHOP, "timeout": timeout}})["shop"].timeout == seconds


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"env": {"K": "${input:api-key}"}}, r"`\$\{input:api-key\}`, which another client asks"),
        ({"env": {"K": "${env:RLM_NOT_SET}"}}, "environment variable `RLM_NOT_SET` is not set"),
        ({"env": {"K": "${RLM_NOT_SET}"}}, "environment variable `RLM_NOT_SET` is not set"),
        ({"env": {"K": "${command:x.y}"}}, "means nothing here"),
        ({"envFile": ".env"}, "`envFile`, which is not read"),
        ({"includeTools": ["add"]}, "`includeTools`, which cannot be kept"),
        ({"disabled_tools": ["add"]}, "`disabled_tools`, which cannot be kept"),
        ({"type": "websocket"}, "transport `websocket`. There are `stdio`"),
        ({"url": URL}, "either `command` or `url`"),
        ({"comand": "x"}, "unknown field `comand`"),
    ],
)
def test_what_cannot_be_kept_is_named(monkeypatch, given, says):
    monkeypatch.delenv("RLM_NOT_SET", raising=False)
    with pytest.raises(ConfigError, match=says):
        read_servers({"mcpServers": {"shop": {**SHOP, **given}}})


def test_an_argument_of_a_shell_stays_as_it_is(monkeypatch):
    monkeypatch.delenv("RLM_NOT_SET", raising=False)
    script = "for x in 1 2; do echo ${x} $RLM_NOT_SET ${RLM_NOT_SET}; done"
    assert read_servers({"shop": {"command": "sh", "args": ["-c", script]}})["shop"].command[2] == script


def test_a_server_may_have_the_name_of_a_list():
    assert list(read_servers({"servers": SHOP, "mcp": {"url": URL}})) == ["servers", "mcp"]


def test_a_path_in_the_place_of_a_list_says_how_a_file_is_read():
    with pytest.raises(ConfigError, match=r"json\.load"):
        read_servers("mcp.json")


def test_the_magic_merges_pasted_lists(tmp_path):
    with terminal_shell(tmp_path) as shell:
        shell.user_ns.update(
            one={"mcpServers": {"a": SHOP}}, two={"mcpServers": {"b": SHOP}}, three={"c": SHOP}
        )
        assert list(notebook_lookup.servers_of(shell, ["one", "two", "three"])) == ["a", "b", "c"]


def test_a_pasted_list_is_used(tmp_path):
    script = str(Path(__file__).parents[1] / "support" / "mcp_server.py")
    shop = {"type": "stdio", "command": sys.executable, "args": [script, "stdio"], "alwaysAllow": ["add"]}
    with asking(tmp_path) as ask:
        code = "FINAL(mcp_call('shop', 'add', {'a': 2, 'b': 3})['text'])"
        run = ask(
            {"root": [code]},
            mcp={"mcpServers": {"shop": shop, "off": {"command": "no-such", "disabled": True}}},
        )
        assert run.raise_for_error().value == "5"
