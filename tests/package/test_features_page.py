"""The page of features names what is there."""

import re
from pathlib import Path

import pytest

import rlm_jupyter
from rlm_jupyter.settings import Limits, Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "features.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the page is in the repository, not in the package")


def test_every_file_that_the_page_names_is_there():
    paths = set(re.findall(r"`((?:rlm_jupyter|tests)/[\w/]+(?:\.py|/))`", PAGE.read_text()))
    assert len(paths) > 15
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_setting_and_limit_that_the_page_names_is_there():
    here = "".join(line.split("|")[3] for line in PAGE.read_text().splitlines() if line.count("|") == 4)
    named = set(re.findall(r"`([a-z_]+)(?:=[^`]*)?`", here))
    known = set(Settings.model_fields) | set(Limits.model_fields)
    for name in (
        "require_look",
        "compact_at",
        "stuck_after",
        "sub_temperature",
        "cost",
        "tokens",
        "cell_seconds",
    ):
        assert name in named & known
    for call in re.findall(r"`RLM\.(\w+)`", here):
        assert hasattr(rlm_jupyter.RLM, call)
    for call in re.findall(r"`run\.(\w+)\(", here):
        assert hasattr(rlm_jupyter.Run, call)
