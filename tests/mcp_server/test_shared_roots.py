"""Files below the roots, and every way out of them that a client or a link could try."""

import itertools
import os
import socket
import threading

import pytest

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.mcp_server.refusals import NO_FILE, RequestRefusedError
from rlm_jupyter.mcp_server.shared_roots import SharedRoots


@pytest.fixture
def root(tmp_path):
    where = tmp_path / "shared"
    (where / "deep" / "er").mkdir(parents=True)
    (where / "notes.txt").write_text("a note\n")
    (where / "deep" / "er" / "ünï cöde %41.txt").write_text("deep\n")
    (tmp_path / "secret.txt").write_text("secret\n")
    (tmp_path / "shared-not").mkdir()
    (tmp_path / "shared-not" / "near.txt").write_text("near\n")
    return where


@pytest.fixture
def roots(root):
    opened = SharedRoots([root])
    yield opened
    opened.close()


def content(file):
    return file.read_at(file.size, 0).decode()


def test_files_by_relative_and_absolute_paths_and_urls(roots, root):
    deep = root / "deep" / "er" / "ünï cöde %41.txt"
    for name in ("notes.txt", "./notes.txt", str(root / "notes.txt"), (root / "notes.txt").as_uri()):
        assert content(roots.open(name)) == "a note\n"
    for name in (
        str(deep.relative_to(root)),
        str(deep),
        deep.as_uri(),
        deep.as_uri().replace("file://", "file://localhost"),
    ):
        assert content(roots.open(name)) == "deep\n"


def test_a_root_that_is_named_by_a_link_is_what_the_link_led_to_at_the_start(tmp_path, root):
    link = tmp_path / "link"
    link.symlink_to(root)
    roots = SharedRoots([link])
    assert content(roots.open(str(link / "notes.txt"))) == "a note\n"
    link.unlink()
    link.symlink_to(tmp_path)
    with pytest.raises(RequestRefusedError):
        roots.open(str(link / "secret.txt"))
    assert content(roots.open("notes.txt")) == "a note\n"


OUTSIDE = [
    "../secret.txt",
    "deep/../../secret.txt",
    "deep/../notes.txt",
    "..",
    ".",
    "",
    "/",
    "/etc/passwd",
    "//etc/passwd",
    "file:///etc/passwd",
    "file://example.org/etc/passwd",
    "file:///%2e%2e/etc/passwd",
    "%2e%2e/secret.txt",
    "https://example.org/notes.txt",
    "notes.txt\0.png",
    "notes.txt/",
    "notes.txt/x",
    "deep",
    "missing.txt",
    "~/.ssh/id_rsa",
    "/proc/self/environ",
    "/proc/self/fd/0",
    "..\\secret.txt",
    "deep//../../secret.txt",
    "a" * 5000,
    "a/" * 3000 + "b",
    "\udcff.txt",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_is_not_below_a_root_is_refused_in_the_same_words(roots, name):
    if name == "notes.txt/":  # pathlib drops the slash: it is the file
        assert content(roots.open(name)) == "a note\n"
        return
    with pytest.raises(RequestRefusedError) as refused:
        roots.open(name)
    assert refused.value.message == NO_FILE


def test_absolute_paths_with_parents_or_of_a_neighbour_are_refused(roots, root, tmp_path):
    for path in (
        f"{root}/../secret.txt",
        f"{root}/deep/../../secret.txt",
        f"file://{root}/%2e%2e/secret.txt",
        f"file://{root}%2f..%2fsecret.txt",
        f"{root}-not/near.txt",
        str(tmp_path / "secret.txt"),
        str(root),
        f"file://{root}/notes.txt?x=1",
    ):
        with pytest.raises(RequestRefusedError) as refused:
            roots.open(path)
        assert refused.value.message == NO_FILE


def test_links_are_refused_wherever_they_lead(roots, root, tmp_path):
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "in.txt").symlink_to(root / "notes.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    (root / "passwd").symlink_to("/etc/passwd")
    for name in ("out.txt", "in.txt", "up/secret.txt", "up/shared/notes.txt", "loop", "loop/x", "passwd"):
        with pytest.raises(RequestRefusedError):
            roots.open(name)


def test_hidden_files_and_what_is_no_file_are_refused(roots, root):
    (root / ".env").write_text("KEY=1")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("token")
    os.mkfifo(root / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket.txt"))
        for name in (".env", ".git/config", "pipe.txt", "socket.txt", "deep"):
            with pytest.raises(RequestRefusedError):
                roots.open(name)


def test_a_link_that_takes_the_place_of_a_directory_or_file_at_any_time_leads_nowhere(roots, root, tmp_path):
    """Somebody swaps a directory and a link to the outside all the time: never is the file outside opened."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "data.txt").write_text("secret")
    inside = root / "turning"
    spare = tmp_path / "spare"
    spare.mkdir()
    (spare / "data.txt").write_text("public")
    link = tmp_path / "spare-link"
    link.symlink_to(outside)
    ended = threading.Event()

    def swap():
        while not ended.is_set():
            spare.rename(inside)
            inside.rename(spare)
            link.rename(inside)
            inside.rename(link)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        for count in itertools.count():
            if count >= 3000 and "refused" in seen:
                break
            try:
                seen.add(content(roots.open("turning/data.txt")))
            except RequestRefusedError:
                seen.add("refused")
    finally:
        ended.set()
        swapping.join()
    assert "secret" not in seen


def test_a_file_that_was_opened_stays_the_one_that_was_opened(roots, root, tmp_path):
    file = roots.open("notes.txt")
    (root / "notes.txt").unlink()
    (root / "notes.txt").symlink_to(tmp_path / "secret.txt")
    assert content(file) == "a note\n"
    assert not file.in_place
    with file.view() as path:
        assert path.read_text() == "a note\n"
        assert path.name == "notes.txt"


def test_a_file_that_was_changed_is_to_be_opened_again(roots, root):
    file = roots.open("notes.txt")
    (root / "notes.txt").write_text("other words\n")
    with pytest.raises(RequestRefusedError, match="changed"):
        file.lines()
    with pytest.raises(RequestRefusedError, match="changed"), file.view():
        pass


def test_a_large_file_is_handed_over_by_its_path_only_while_it_stands_there(roots, root, monkeypatch):
    from rlm_jupyter.mcp_server import opened_file

    monkeypatch.setattr(opened_file, "_MOST_TEXT", 3)
    monkeypatch.setattr(opened_file, "MOST_STORED", 3)
    file = roots.open("notes.txt")
    assert file.data() == ("path", root / "notes.txt")
    (root / "other.txt").write_text("a note\n")
    (root / "other.txt").replace(root / "notes.txt")
    with pytest.raises(RequestRefusedError, match="Another file"):
        file.data()


def test_directories_that_must_not_be_shared_are_no_roots(tmp_path, monkeypatch):
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for path in (
        "/",
        tmp_path / "home",
        tmp_path,
        tmp_path / "home" / ".ssh",
        tmp_path / "missing",
        tmp_path / "file",
    ):
        with pytest.raises(ConfigError):
            SharedRoots([path])
    with pytest.raises(ConfigError, match="--root"):
        SharedRoots([])
