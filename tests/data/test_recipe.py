"""Recipes: what they say, what is refused, and how shares become numbers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.data.recipe import PAPER_SHARES, apportion, read_recipe
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

RECIPES = Path(__file__).parents[2] / "recipes"
SHARES = st.dictionaries(st.sampled_from(list(EditCategory)), st.floats(0.01, 100), min_size=1)


@given(count=st.integers(1, 10_000), shares=SHARES)
def test_parts_add_up_and_lie_within_one_of_their_share(count: int, shares: dict[EditCategory, float]) -> None:
    parts = apportion(count, shares)
    assert sum(parts.values()) == count
    total = sum(shares.values())
    for key, share in shares.items():
        assert abs(parts.get(key, 0) - count * share / total) < 1 + 1e-6


def test_the_papers_shares_are_complete_and_add_up() -> None:
    assert set(PAPER_SHARES) == set(EditCategory)
    assert sum(PAPER_SHARES.values()) == pytest.approx(100.1)  # as printed


@pytest.mark.parametrize("path", sorted(RECIPES.glob("data_*.toml")), ids=lambda path: path.name)
def test_the_recipes_of_the_repository_can_be_read_and_have_the_papers_shares(path: Path) -> None:
    recipe = read_recipe(path, {})
    assert {key: value.share for key, value in recipe.categories.items()} == dict(PAPER_SHARES)
    assert sum(recipe.wanted().values()) == recipe.count


def test_options_are_laid_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('count = 10\nphotos = ["p"]\ncutouts = ["c"]\n[executor]\nblock = 7\n')
    recipe = read_recipe(path, {"count": 11, "executor.workers": 3, "seed": None})
    assert (recipe.count, recipe.executor.workers, recipe.executor.block, recipe.seed) == (11, 3, 7, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count = 0", "count"),
        ("count = 5\ncounts = 5", "counts"),
        ("count = ", "not valid TOML"),
        ("count = 5\n[categories]\nno-such = { share = 1 }", "no-such"),
        ("count = 5\n[categories]\nsubject-add = { share = 0 }", "share above 0"),
        ('count = 5\n[executor]\nkind = "slurm"', "partition"),
        ("count = 5\n[limits]\nsharp = 1", "sharp"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text('photos = ["p"]\ncutouts = ["c"]\n' + text)
    with pytest.raises(UsageError, match=message):
        read_recipe(path, {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        read_recipe(tmp_path / "none.toml", {})


def test_recipes_are_toml_that_says_what_it_is() -> None:
    for path in RECIPES.glob("data_*.toml"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# ")
        assert "step1x data build" in text
        tomllib.loads(text)
