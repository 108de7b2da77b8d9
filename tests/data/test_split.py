"""The split file is read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from step1x_edit.data.split import Split
from step1x_edit.errors import UsageError


def test_parts_do_not_overlap_but_for_the_known(split: Split) -> None:
    cutouts = [*split.cutouts, *split.known, "something-else"]
    train, heldout = split.select(cutouts, "train", photographs=False), split.select(cutouts, "heldout", photographs=False)
    assert train & heldout == split.known
    assert train | heldout == set(cutouts)
    photographs = [*split.photographs, "something-else"]
    assert split.select(photographs, "train", photographs=True) == {"something-else"}
    assert split.select(photographs, "heldout", photographs=True) == split.photographs


def test_the_kept_out_split_is_as_large_as_documented(split: Split) -> None:
    assert len(split.photographs) >= 60
    assert len(split.cutouts) >= 55
    assert len(split.known) >= 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photographs = [", "not valid TOML"),
        ("pictures = []", "unknown key 'pictures'"),
        ("photographs = 'a'", "must be a list"),
        ("cutouts = [1]", "must be a list"),
        ("cutouts = ['a']\nknown = ['a']", "both in cutouts and in known"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "split.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        Split.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"The split .* is not valid TOML"):
        Split.read(path)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"The split .* cannot be read"):
        Split.read(tmp_path / "none.toml")
