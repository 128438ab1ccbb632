"""Model servers of this machine: found, read with suspicion, listed with what to type."""

import asyncio
import json
import threading

import pytest
from local_servers import (
    LocalServer,
    Ollama,
    listed,
    litellm,
    llama_cpp,
    llama_cpp_python,
    lm_studio,
    sglang,
    vllm,
)

from rlm_jupyter import cli, diagnostics
from rlm_jupyter.models import bounded_json
from rlm_jupyter.models.local import known_servers
from rlm_jupyter.models.local.addresses import is_loopback, is_ollama
from rlm_jupyter.models.local.discovery import find_servers, read_server
from rlm_jupyter.models.prices import price_of
from rlm_jupyter.settings import LOCAL_PROVIDERS, PROVIDERS, Provider, endpoint_for, ollama_url


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Other tests run beside; and ports are used again, by servers of another kind."""
    monkeypatch.setattr(bounded_json, "SECONDS", 60.0)
    known_servers.forget_servers()
    yield
    known_servers.forget_servers()


@pytest.fixture
def elsewhere(monkeypatch):
    """Sets providers' usual addresses: the real ports may be in use on the machine that runs the tests."""
    for name in LOCAL_PROVIDERS:
        monkeypatch.setitem(PROVIDERS, name, Provider("http://127.0.0.1:9/v1", None))
    for name in ("OLLAMA_HOST", "LITELLM_PROXY_API_BASE", "LITELLM_PROXY_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("RLM_MODEL_BASE_URL", raising=False)
    return lambda name, server: monkeypatch.setitem(PROVIDERS, name, Provider(server.url, None))


def read(server, key=""):
    return asyncio.run(read_server(server.url, key))


def test_all_are_found_side_by_side_with_their_windows(elsewhere):
    ollama = Ollama({"qwen2.5-coder:7b": 32768}, running={"qwen2.5-coder:7b": 8192})
    with (
        LocalServer(ollama.routes()) as one,
        LocalServer(lm_studio({"phi-4": 16384}, loaded={"phi-4": 4096})) as two,
        LocalServer(llama_cpp("qwen.gguf", slot=8192, slots=2)) as three,
        LocalServer(vllm("Qwen/Qwen3-8B")) as four,
    ):
        for name, server in zip(
            ("ollama", "lmstudio", "llamacpp", "vllm"), (one, two, three, four), strict=True
        ):
            elsewhere(name, server)
        found = {server.kind: server for server in asyncio.run(find_servers({}))}
    assert list(found) == ["ollama", "lmstudio", "llamacpp", "vllm"]
    (model,) = found["ollama"].models
    assert (model.name, model.window, model.loaded_window) == ("qwen2.5-coder:7b", 32768, 8192)
    assert (model.parameters, model.file_bytes) == ("7.6B", 4_683_087_332)
    (model,) = found["lmstudio"].models  # the embedding model does not chat
    assert (model.name, model.window, model.usable_window) == ("phi-4", 16384, 4096)
    (model,) = found["llamacpp"].models
    assert (model.window, model.usable_window, model.parameters, found["llamacpp"].slots) == (
        32768,
        8192,
        "7.6B",
        2,
    )
    (model,) = found["vllm"].models
    assert (model.window, found["vllm"].version) == (40960, "0.11.2")


def test_sglang_tells_its_window_and_version(elsewhere):
    with LocalServer(sglang("Qwen/Qwen3-8B", window=40960)) as server:
        elsewhere("sglang", server)
        (found,) = asyncio.run(find_servers({}))
    assert (found.kind, found.provider, found.version) == ("sglang", "sglang", "0.5.4")
    assert found.model("Qwen/Qwen3-8B").usable_window == 40960


@pytest.mark.parametrize("key", ["", "sk-proxy-0123456789"])
def test_a_proxy_of_litellm_is_asked_if_its_address_is_set_with_its_own_key_alone(elsewhere, key):
    windows = {"gpt-5": 400_000, "mine": None}
    with LocalServer(litellm(windows, key=key)) as server, LocalServer(vllm("m")) as other:
        elsewhere("vllm", other)
        env = {"LITELLM_PROXY_API_BASE": server.root, "LITELLM_PROXY_API_KEY": "sk-proxy-0123456789"}
        assert [one.kind for one in asyncio.run(find_servers({}))] == ["vllm"]
        found = next(one for one in asyncio.run(find_servers(env)) if one.kind == "litellm")
        assert set(other.keys) == {""}
        assert set(server.keys) == {"Bearer sk-proxy-0123456789"}
    assert (found.provider, found.version) == ("litellm", "1.80.0")
    assert [(model.name, model.window) for model in found.models] == [("gpt-5", 400_000), ("mine", None)]


def test_a_window_that_stands_in_the_list_of_models_is_enough(elsewhere):
    with LocalServer({"/v1/models": listed("m", owner="openai", max_input_tokens=4096)}) as server:
        env = {"LITELLM_PROXY_API_BASE": server.root}
        (found,) = asyncio.run(find_servers(env))
    assert (found.kind, found.models[0].window) == ("litellm", 4096)


def test_a_proxy_of_litellm_that_asks_for_a_key_is_told_of_with_its_variable(elsewhere, monkeypatch, capsys):
    with LocalServer(litellm({"m": 1000}, key="sk-proxy-0123456789")) as server:
        monkeypatch.setenv("LITELLM_PROXY_API_BASE", server.url)
        assert cli.main(["models"]) == 0
    assert "asks for a key: set `LITELLM_PROXY_API_KEY`" in capsys.readouterr().out


def test_models_and_the_doctor_say_which_providers_can_be_asked_and_never_a_key(
    elsewhere, monkeypatch, capsys
):
    for provider in PROVIDERS.values():
        for name in filter(None, (provider.key, provider.url_variable)):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XAI_API_KEY", "xai-secret-0123456789")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-secret-0123456789")
    assert cli.main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "Provider xai: -m xai/NAME  (`XAI_API_KEY` is set)" in shown
    assert (
        "Provider azure: `AZURE_OPENAI_API_KEY` is set; set `AZURE_OPENAI_ENDPOINT` to its address" in shown
    )
    assert "Not set up: " in shown
    assert "anthropic/" in shown.partition("Not set up: ")[2]
    told = "\n".join(diagnostics.models({"model": "demo"}))
    assert "Providers that can be asked: `xai/`" in told
    assert "set `AZURE_OPENAI_ENDPOINT`" in told
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com")
    assert "Provider azure: -m azure/NAME" in "\n".join(diagnostics.provider_lines())
    assert "secret" not in shown + told


def test_all_are_asked_at_once(elsewhere):
    together = threading.Barrier(3, timeout=60)

    def wait(_server, handler, _body):
        together.wait()
        handler.json(200, listed("m"))

    with LocalServer({"/v1/models": wait}) as one, LocalServer({"/v1/models": wait}) as two:
        elsewhere("lmstudio", one)
        elsewhere("vllm", two)
        with LocalServer({"/v1/models": wait}) as three:
            elsewhere("llamacpp", three)
            assert len(asyncio.run(find_servers({}))) == 3


def test_what_the_user_named_is_asked_with_its_key_and_the_usual_ports_without(elsewhere):
    with LocalServer(vllm("named")) as named, LocalServer(vllm("usual")) as usual, LocalServer({}) as host:
        elsewhere("vllm", usual)
        env = {
            "RLM_MODEL_BASE_URL": named.url,
            "RLM_MODEL_API_KEY": "key-0123456789",
            "OPENAI_API_KEY": "sk-other-0123456789",
            "OLLAMA_HOST": host.root.removeprefix("http://"),
        }
        found = asyncio.run(find_servers(env))
        assert [server.models[0].name for server in found] == ["usual", "named"]
        assert set(named.keys) == {"Bearer key-0123456789"}
        assert set(usual.keys) == set(host.keys) == {""}
        assert ("GET", "/api/tags") in host.asked


def test_the_key_goes_to_a_usual_port_too_if_the_user_named_it(elsewhere):
    with LocalServer(vllm("m")) as server:
        elsewhere("vllm", server)
        named = server.url.replace("127.0.0.1", "localhost")
        (found,) = asyncio.run(find_servers({"RLM_MODEL_API_KEY": "key-0123456789"}, named))
        assert (found.url, found.provider) == (named, "vllm")
        assert set(server.keys) == {"Bearer key-0123456789"}


def test_a_server_that_asks_for_a_key_is_told_of():
    with LocalServer({"/v1/models": lambda _s, handler, _b: handler.json(401, {"error": "key"})}) as server:
        assert read(server).locked


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>Jupyter</html>",
        b"[1]",
        b"null",
        b"[" * 100_000,
        json.dumps({"data": "x"}).encode(),
        json.dumps({"data": [None, 1, {"id": 7}, {"id": ""}, {"id": "x" * 500}]}).encode(),
        b'{"data": [{"id": "m", "pad": "' + b"x" * (2 << 20) + b'"}]}',
    ],
)
def test_what_is_no_list_of_models_is_none(data):
    with LocalServer({"/v1/models": lambda _s, handler, _b: handler.raw(200, data)}) as server:
        found = read(server)
    assert found is None or found.models == ()


def test_names_and_figures_are_cleaned():
    names = ["good", "\x1b[2Jescape\x1b[31m", "right\u202eleft", "two\nlines"]
    entries = [
        {"id": name, "max_model_len": -5, "meta": {"n_ctx_train": True, "n_params": 1e400}} for name in names
    ]
    with LocalServer({"/v1/models": {"data": entries * 100}}) as server:
        found = read(server)
    assert len(found.models) == 50
    shown = "".join(model.name for model in found.models)
    assert not any(bad in shown for bad in ("\x1b", "\u202e", "\n"))
    assert {model.window for model in found.models} == {None}


def test_an_answer_that_does_not_come_is_waited_for_a_second_and_no_longer(monkeypatch):
    monkeypatch.setattr(bounded_json, "SECONDS", 0.2)
    end = threading.Event()

    def drip(_server, handler, _body):
        handler.send_response(200)
        handler.end_headers()
        while not end.wait(0.02):  # each piece comes soon after the one before
            handler.wfile.write(b" ")
            handler.wfile.flush()

    with LocalServer({"/v1/models": drip}) as server:
        try:
            assert read(server) is None
        finally:
            end.set()


def test_no_redirect_is_followed_and_nothing_is_unpacked():
    with LocalServer(vllm("elsewhere")) as target:
        there = {"Location": f"{target.url}/models"}
        routes = {"/v1/models": lambda _s, handler, _b: handler.raw(302, b"", there)}
        with LocalServer(routes) as server:
            assert read(server) is None
        assert target.asked == []
    packed = {"Content-Encoding": "gzip"}
    good = json.dumps(listed("m")).encode()
    with LocalServer({"/v1/models": lambda _s, handler, _b: handler.raw(200, good, packed)}) as server:
        assert read(server) is None


def test_no_proxy_of_the_environment_is_told(monkeypatch):
    with LocalServer(vllm("m")) as server, LocalServer({}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.root)
        monkeypatch.setenv("ALL_PROXY", proxy.root)
        monkeypatch.setenv("NO_PROXY", "")
        assert read(server).kind == "vllm"
        assert proxy.asked == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.9.9.9/v1", True),
        ("http://localhost:1/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://localhost.example.org/v1", False),
        ("http://10.0.0.1/v1", False),
        ("http://0.0.0.0/v1", False),
        ("https://api.openai.com/v1", False),
        ("http://[broken", False),
        ("", False),
    ],
)
def test_only_addresses_of_this_machine_are_its_own(url, expected):
    assert is_loopback(url) is expected


def test_a_server_elsewhere_is_not_asked_what_it_is(monkeypatch):
    asked = []
    monkeypatch.setattr("rlm_jupyter.models.local.discovery._read", lambda *_: asked.append(1))
    assert asyncio.run(known_servers.known_server("http://192.0.2.1:8000/v1")) is None
    assert not asked


def test_a_server_is_asked_once_in_a_process_even_by_many_at_once():
    async def ask():
        first = [asyncio.ensure_future(known_servers.known_server(server.url)) for _ in range(20)]
        await asyncio.sleep(0)
        first[0].cancel()
        rest = await asyncio.gather(*first[1:])
        return [*rest, await known_servers.known_server(server.url)]

    with LocalServer(llama_cpp_python("m")) as server:
        found = asyncio.run(ask())
        assert {one.kind for one in found} == {"llama-cpp-python"}
        assert server.asked == [("GET", "/v1/models")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:8123", "http://127.0.0.1:8123/v1"),
        (":8123", "http://127.0.0.1:8123/v1"),
        ("[::]:8123", "http://127.0.0.1:8123/v1"),
        ("[::1]", "http://[::1]:11434/v1"),
        ("gpu.lan", "http://gpu.lan:11434/v1"),
        ("http://gpu.lan", "http://gpu.lan:80/v1"),
        ("https://gpu.lan/ollama/", "https://gpu.lan:443/ollama/v1"),
        ('"127.0.0.1:8123"', "http://127.0.0.1:8123/v1"),
        ("ftp://x", "http://127.0.0.1:11434/v1"),
        ("127.0.0.1:port", "http://127.0.0.1:11434/v1"),
    ],
)
def test_the_host_of_ollama_is_read_as_its_own_client_reads_it(given, expected):
    assert ollama_url({"OLLAMA_HOST": given}) == expected
    assert endpoint_for("ollama/m", env={"OLLAMA_HOST": given}).base_url == expected


@pytest.mark.parametrize(
    ("name", "port"), [("ollama", 11434), ("lmstudio", 1234), ("llamacpp", 8080), ("vllm", 8000)]
)
def test_local_providers_need_no_key_and_cost_nothing(name, port):
    endpoint = endpoint_for(f"{name}/some/model", env={})
    assert (endpoint.model, endpoint.base_url) == ("some/model", f"http://127.0.0.1:{port}/v1")
    assert price_of("some/model", name) == (0.0, 0.0)


def test_ollama_is_known_by_its_port():
    assert is_ollama("http://127.0.0.1:11434/v1")
    assert is_ollama("http://localhost:11434")
    assert not is_ollama("http://127.0.0.1:8000/v1")
    assert not is_ollama("http://gpu.lan:11434/v1")
    assert not is_ollama("http://127.0.0.1:11434/other")
    assert not is_ollama(None)


# ---- what is printed


def test_the_list_says_what_to_type(elsewhere, capsys, monkeypatch):
    ollama = Ollama({"qwen2.5-coder:7b": 32768, "odd name; ls": 2048}, running={"qwen2.5-coder:7b": 8192})
    with (
        LocalServer(ollama.routes()) as one,
        LocalServer(llama_cpp("q.gguf")) as two,
        LocalServer(vllm("x/y")) as own,
    ):
        elsewhere("ollama", one)
        elsewhere("llamacpp", two)
        assert cli.main(["models", "--base-url", own.url]) == 0
        shown = capsys.readouterr().out
        assert (
            f"Ollama at {one.url}\n  -m ollama/qwen2.5-coder:7b  (32,768 tokens, loaded with 8,192, 7.6B, 4.7 GB)"
            in shown
        )
        assert "-m 'ollama/odd name; ls'  (2,048 tokens" in shown
        assert f"llama.cpp at {two.url} (1 request at once)\n  -m llamacpp/q.gguf  (32,768 tokens" in shown
        assert f"vLLM at {own.url} 0.11.2\n  -m x/y  (40,960 tokens)" in shown
        assert f"The base URL {own.url} is set" in shown
        monkeypatch.setenv("RLM_MODEL_BASE_URL", own.url.replace("//", "//user:hidden@"))
        assert cli.main(["models"]) == 0
        shown = capsys.readouterr().out
        assert "-m x/y" in shown
        assert "hidden" not in shown


def test_the_list_says_where_it_looked_if_nothing_answers(elsewhere, capsys):
    assert cli.main(["models"]) == 0
    assert "No model server answers on this machine (asked for: Ollama on 9" in capsys.readouterr().out


def test_no_server_is_asked_before_somebody_wants_to_know():
    """In a process of its own: nothing that loading the extension imports may ask the network."""
    import subprocess
    import sys

    code = (
        "import sys, IPython\nshell = IPython.InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'rlm_jupyter')\n"
        "print([n for n in sys.modules if n in ('openai', 'rlm_jupyter.models.local.discovery')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip().endswith("[]")
