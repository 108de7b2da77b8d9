"""Recipes: what they say, what is refused, and how shares become numbers."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.data.filters import FILTERS
from step1x_edit.data.recipe import PAPER_SHARES, DataRecipe, Switchable, apportion, read_recipe
from step1x_edit.data.slots import COMPOSED, PHOTOGRAPH, Slot
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


@given(
    count=st.integers(1, 5_000),
    share=st.none() | st.floats(0, 1),
    own=st.none() | st.floats(0, 1),
    cutouts=st.sampled_from([[], ["c"]]),
)
def test_slots_divide_each_category_by_what_is_to_come_from_photographs(
    count: int, share: float | None, own: float | None, cutouts: list[str]
) -> None:
    categories = {"style_change": {"share": 2}, "tone_transfer": {"share": 1, "from_photographs": own}, "ps_human": {"share": 1}}
    values = {"count": count, "photos": ["p"], "cutouts": cutouts, "from_photographs": share, "categories": categories}
    recipe = DataRecipe.model_validate(values)
    slots, overall = recipe.slots(), share if share is not None else float(not cutouts)
    for category, part in {"style_change": overall, "tone_transfer": overall if own is None else own, "ps_human": 1.0}.items():
        wanted = recipe.wanted().get(EditCategory(category), 0)
        photographed = slots.get(Slot(EditCategory(category), PHOTOGRAPH), 0)
        assert photographed + slots.get(Slot(EditCategory(category), COMPOSED), 0) == wanted
        assert abs(photographed - wanted * part) < 1


def test_what_lies_here_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sam").mkdir()
    tools = {"segmenter": "sam2:sam", "detector": {"name": "detr", "parts": {"one": "sam", "two": "someone/sam"}}, "flow": "dis"}
    recipe = DataRecipe.model_validate({"count": 1, "photos": ["p"], "heldout": "h.toml", "tools": tools}).resolve()
    assert (recipe.photos, recipe.cutouts, recipe.heldout) == ([tmp_path / "p"], [], tmp_path / "h.toml")
    assert [recipe.tools[role].model for role in tools] == [str(tmp_path / "sam"), None, None]
    assert recipe.tools["detector"].parts == {"one": str(tmp_path / "sam"), "two": "someone/sam"}


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
        ('count = 5\n[limits]\noff = ["sharpnes"]', r"limits\.off\.0: .*'sharpness'"),
        ("from_photographs = 1.5\ncount = 5", r"from_photographs: .*less than or equal to 1\."),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text('photos = ["p"]\ncutouts = ["c"]\n' + text)
    with pytest.raises(UsageError, match=message):
        read_recipe(path, {})


def test_every_filter_can_be_switched_off() -> None:
    assert get_args(Switchable) == (*FILTERS, "duplicates")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        read_recipe(tmp_path / "none.toml", {})


def test_recipes_are_toml_that_says_what_it_is() -> None:
    for path in RECIPES.glob("data_*.toml"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# ")
        assert "step1x data build" in text
        tomllib.loads(text)
