"""A content filter is found in the folder that the server was started in; one that cannot be had is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from step1x_edit.errors import UsageError
from step1x_edit.serve.filtering import load_filter

MODULE = """
class Good:
    def check_result(self, picture):
        return None

class Bad:
    def __init__(self):
        raise TypeError("no key")
"""


def test_filters_beside_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "house_rules.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    assert type(load_filter("house_rules:Good")).__name__ == "Good"
    with pytest.raises(UsageError, match=r"cannot be made \(TypeError: no key\)"):
        load_filter("house_rules:Bad")
    for absent in ("house_rules:None", "no_rules:Good", "house_rules"):
        with pytest.raises(UsageError, match="no content filter"):
            load_filter(absent)
