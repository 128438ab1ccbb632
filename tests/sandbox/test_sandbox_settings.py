"""`Sandbox`: what it takes, what it refuses, and how it reaches the kernels from each face."""

import re
from pathlib import Path

import pytest
from traitlets import TraitError

import rlm_jupyter
from rlm_jupyter import RLM, ConfigError, Sandbox
from rlm_jupyter.kernels.confinement import policy
from rlm_jupyter.sandbox_settings import Host, check_log_dir, read_bytes
from rlm_jupyter.settings import Settings
from rlm_jupyter.system import machine_memory
from rlm_jupyter.text.units import short_size


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory with keys in it and data beside them."""
    for place in (".ssh", ".config/gcloud", "data", "project/rlm_runs"):
        (tmp_path / "home" / place).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2 GB", 2_000_000_000),
        ("512MB", 512_000_000),
        ("1.5 GiB", 3 << 29),
        ("100_000 kB", 100_000_000),
        ("300m", 300_000_000),
        (123_456_789, 123_456_789),
    ],
)
def test_a_size_is_bytes_or_a_number_with_a_unit(text, size):
    assert read_bytes(text) == size
    assert Sandbox(memory=text).memory == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (2_000_000_000, "2 GB"), (12_600_000_000, "12.6 GB")],
)
def test_a_size_is_shown_with_a_unit(size, text):
    assert short_size(size) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Example.ORG.", "example.org"),
        ("*.example.org:443", "*.example.org:443"),
        ("[::1]:80", "[::1]:80"),
        ("::1", "[::1]"),
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("münchen.de", "xn--mnchen-3ya.de"),
    ],
)
def test_a_host_is_brought_to_one_form(text, told):
    assert str(Host.read(text)) == told


NO_HOSTS = [
    *(
        "http://a.org",
        "a.org/x",
        "u@a.org",
        "a b",
        "",
        "*",
        "a*b.org",
        "a\0.org",
        "127.1",
        "0x7f.1",
        "1.2.3.4.5",
    ),
    *("a:0", "a:65536", "a:x", "a:٣", "[::1", "[::1]x", f"{'a' * 64}.org", f"{'a.' * 130}org"),
]


@pytest.mark.parametrize("text", NO_HOSTS)
def test_what_is_no_host_is_refused(text):
    with pytest.raises(ConfigError, match="`net` of the sandbox cannot be"):
        Sandbox(net=[text, "example.org"] if text else ["*."])


@pytest.mark.parametrize(
    ("rule", "name", "port", "holds"),
    [
        ("a.org", "a.org", 1, True),
        ("a.org:443", "a.org", 80, False),
        ("a.org", "b.a.org", 443, False),
        ("*.a.org", "b.a.org", 443, True),
        ("*.a.org", "c.b.a.org", 443, True),
        ("*.a.org", "a.org", 443, False),
        ("*.a.org", "evila.org", 443, False),
    ],
)
def test_a_host_stands_for_itself_and_a_wildcard_for_all_below(rule, name, port, holds):
    assert Host.read(rule).matches(name, port) is holds


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"memory": "2"}, "write a unit"),
        ({"memory": "lots"}, "write bytes, or a number with a unit"),
        ({"memory": True}, "write bytes"),
        ({"disk": "1 kB"}, "the least is"),
        ({"processes": 0}, "greater than or equal to 1"),
        ({"cpu_seconds": 0}, "greater than 0"),
        ({"mode": "jail"}, "'auto', 'none' or 'bwrap'"),
        ({"net": 5}, "give a list"),
        ({"read": "nowhere/at/all"}, "there is no `nowhere/at/all`"),
        ({"read": ["a\0b"]}, "there is no"),
        ({"read": [3]}, "give the path"),
        ({"scratch": __file__}, "is not a directory"),
        ({"momory": 1}, "It has: `mode`, `memory`"),
    ],
)
def test_a_wrong_field_is_named_with_the_next_step(fields, says):
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        Sandbox(**fields)
    assert f"`{next(iter(fields))}`" in str(caught.value)
    with pytest.raises(ConfigError, match=re.escape(says)):
        RLM("demo", sandbox=fields)


@pytest.mark.parametrize(
    "path", ["~", "~/..", "/", "~/.ssh", "~/.config", "~/.config/gcloud", "/proc/self", "/dev"]
)
@pytest.mark.parametrize("field", ["read", "scratch"])
def test_agents_are_not_given_what_holds_keys(home, path, field):
    with pytest.raises(ConfigError, match=r"keys"):
        Sandbox(**{field: path})


def test_a_link_to_keys_is_seen_through(home):
    (home / "data" / "link").symlink_to(home / ".ssh")
    with pytest.raises(ConfigError, match="where keys are kept"):
        Sandbox(read=home / "data" / "link")


def test_the_directory_of_temporary_files_is_refused_whole(home, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(home / "data"))
    with pytest.raises(ConfigError, match="temporary files"):
        Sandbox(read=home / "data")


def test_paths_are_absolute_and_once(home, monkeypatch):
    monkeypatch.chdir(home)
    assert Sandbox(read=["data", "~/data", home / "data"]).read == (home / "data",)


def test_the_logs_are_kept_from_agents(home, monkeypatch):
    logs, project = home / "project" / "rlm_runs", home / "project"
    assert check_log_dir(Sandbox(read=home / "data"), logs) is None
    assert check_log_dir(Sandbox(read=logs), None) is None
    assert "Agents may read the logs" in check_log_dir(Sandbox(read=project), logs)
    for box, says in (({"read": logs}, "must not read it"), ({"scratch": project}, "could change the logs")):
        with pytest.raises(ConfigError, match=says):
            RLM("demo", sandbox=box, log_dir=logs).start("Q", [1])


@pytest.mark.parametrize(
    ("given", "mode", "net"),
    [
        (None, "auto", ()),
        ("bwrap", "bwrap", ()),
        ({"net": "a.org, b.org:80"}, "auto", ("a.org", "b.org:80")),
        (Sandbox(mode="none"), "none", ()),
        ({"net": ["a.org", "all"]}, "auto", "all"),
    ],
)
def test_rlm_takes_a_mode_a_sandbox_or_a_dict(given, mode, net):
    box = RLM("demo", sandbox=given).settings.sandbox
    assert (box.mode, box.net) == (mode, net)
    assert hash(box) == hash(Sandbox.of(given))


def test_what_is_no_sandbox_is_named():
    with pytest.raises(ConfigError, match=r"`sandbox` takes a mode, .* or a dict, not a `int`"):
        Settings.from_environment(sandbox=3)


def test_changes_come_on_top_of_what_was_set():
    box = Sandbox.of({"mode": "bwrap", "memory": "1 GB"}, net=["a.org"], memory=None)
    assert (box.mode, box.memory, box.net) == ("bwrap", None, ("a.org",))
    assert Sandbox.of(box, mode="auto").net == ("a.org",)


def test_the_defaults_leave_the_machine_alive():
    """An agent that runs away must leave enough for the notebook, and a fork bomb must end."""
    limits = policy.limits_of(Sandbox())
    assert limits["memory"] == machine_memory() // 2
    assert 0 < limits["disk"] <= policy.MOST_DISK
    assert limits["processes"] == 256
    assert (limits["net"], limits["read"], limits["scratch"], limits["cell_cpu"]) == ((), (), None, None)
    assert policy.limits_of(Sandbox(memory=None, disk=None))["memory"] is None
    assert policy.limits_of(Sandbox(mode="none", memory="1 GB")) == {}


def test_it_is_public():
    assert rlm_jupyter.Sandbox is Sandbox
    assert "Sandbox" in rlm_jupyter.__all__


# ------------------------------------------------------------------------------------------- in the notebook


@pytest.fixture
def magics():
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.magics.extension import RLMMagics

    shell = InteractiveShell()
    shell.user_ns["orders"] = [1]
    return RLMMagics(shell=shell)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("--sandbox bwrap", "mode", "bwrap"),
        ("--net a.org,*.b.org:80", "net", ("a.org", "*.b.org:80")),
        ("--net a.org --net b.org", "net", ("a.org", "b.org")),
        ("--net all", "net", "all"),
        ("--net none", "net", ()),
        (f"--read {__file__}", "read", (Path(__file__).resolve(),)),
        ("--memory 2GB", "memory", 2_000_000_000),
        ("", "memory", "auto"),
    ],
)
def test_a_line_of_the_magic_sets_it(magics, line, field, value):
    from rlm_jupyter.magics.task import read

    assert getattr(read(magics, f"orders {line}", "Q").settings["sandbox"], field) == value


def test_a_line_comes_on_top_of_config(magics):
    from rlm_jupyter.magics.task import read

    magics.sandbox = {"memory": "2 GB", "net": ["c.org"]}
    box = read(magics, "orders --net a.org", "Q").settings["sandbox"]
    assert (box.memory, box.net, box.mode) == (2_000_000_000, ("a.org",), "auto")
    magics.sandbox = "bwrap"
    assert read(magics, "orders", "Q").settings["sandbox"].mode == "bwrap"


@pytest.mark.parametrize("wrong", ["jail", {"memory": "x"}, {"net": ["http://a"]}, 3])
def test_config_refuses_at_once_what_cannot_be(magics, wrong):
    with pytest.raises(TraitError, match="sandbox"):
        magics.sandbox = wrong
    assert magics.sandbox == "auto"


@pytest.mark.parametrize(
    ("line", "says"), [("--net http://a", "is not a host"), ("--read /nowhere", "there is no")]
)
def test_a_wrong_option_is_told_before_anything_starts(magics, line, says):
    from rlm_jupyter.magics.task import read

    with pytest.raises(ConfigError, match=says):
        read(magics, f"orders {line}", "Q")
