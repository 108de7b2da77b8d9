"""Recipes: the ones in the repository are whole, settings lie over them, and what is wrong is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from step1x_edit.errors import UsageError, WeightsError
from step1x_edit.model.presets import PRESETS
from step1x_edit.training.recipe import read_recipe

ROOT = Path(__file__).parents[2]
TRAINED = sorted((ROOT / "recipes").glob("mini_[aem][udl]*.toml"))
OTHERS = [ROOT / "recipes" / name for name in ("full.toml", "lora_24gb.toml", "overfit.toml")]


def test_a_cache_may_lie_in_a_folder_of_any_name() -> None:
    for name in ('my "cache"', "C:\\cache", "2024"):
        assert read_recipe(ROOT / "recipes/lora_24gb.toml", cache=Path(name)).data.cache == Path(name)


def test_there_is_a_recipe_for_each_part_of_the_embedded_model() -> None:
    assert {read_recipe(path).task for path in TRAINED} == {"autoencoder", "mllm", "edit"}


@pytest.mark.parametrize("path", [*TRAINED, *OTHERS], ids=lambda path: path.stem)
def test_stages_follow_one_another(path: Path) -> None:
    recipe = read_recipe(path)
    begin = 0
    for stage in recipe.stages:
        assert recipe.stage_at(begin) is stage
        assert recipe.stage_at(stage.until - 1) is stage
        begin = stage.until
    assert recipe.steps == begin


def test_adapters_are_trained_as_the_published_ones() -> None:
    recipe = read_recipe(ROOT / "recipes/lora_24gb.toml")
    assert recipe.adapter is not None and (recipe.adapter.rank, recipe.adapter.alpha, recipe.optim.lr) == (64, 32, 1e-4)
    assert (recipe.timesteps.draw, recipe.timesteps.shift) == ("logit-normal", 3.1582)
    assert read_recipe(ROOT / "recipes/mini_natural.toml").timesteps.draw == "uniform"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{}", "name the data"),
        ('{shards = ["a"], pairs = ["b"]}', "name the data"),
        ('{photos = ["a"]}', "give all three"),
        ('{photos = ["a"], cutouts = ["b"], heldout = "c", cache = "d"}', "seen once"),
        ('{shards = ["a"], relit = 0.5}', "relit needs photos"),
    ],
)
def test_data_comes_from_one_place(data: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_recipe(OTHERS[0], [f"data={data}"])


def test_an_adapter_needs_the_model_that_it_is_for() -> None:
    with pytest.raises(UsageError, match=r"model\.start must name"):
        read_recipe(TRAINED[1], ["adapter={rank=4}"])


def test_what_comes_again_anyway_is_not_repeated() -> None:
    with pytest.raises(UsageError, match="repeats are for the task edit"):
        read_recipe(ROOT / "recipes/overfit.toml", ["stages=[{until=2, size=64, batch=2, repeats=2}]", "data={shards=['a']}"])
    with pytest.raises(UsageError, match="repeats are for the task edit"):
        read_recipe(ROOT / "recipes/mini_mllm.toml", ["stages=[{until=2, size=64, batch=2, repeats=2}]"])


def test_settings_lie_over_the_file() -> None:
    path = ROOT / "recipes/mini_edit.toml"
    recipe = read_recipe(path, ["optim.lr=5e-5", 'data.photos=["a", "b"]', "model.mllm=some/where", "compile=true"])
    assert recipe.optim.lr == 5e-5
    assert recipe.data.photos == [Path("a"), Path("b")]
    assert recipe.model.mllm == Path("some/where")
    assert recipe.compile
    assert recipe.optim.muon_lr == read_recipe(path).optim.muon_lr


def test_settings_change_one_stage_of_several() -> None:
    path = ROOT / "recipes/full.toml"
    before, after = read_recipe(path), read_recipe(path, ["stages.1.until=20010", "stages.1.batch=8", "data.shards.0=other"])
    assert after.stages[0] == before.stages[0] and after.data.shards == [Path("other")]
    assert after.stages[1] == before.stages[1].model_copy(update={"until": 20010, "batch": 8})


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("optim.learning_rate=1", "optim.learning_rate"),
        ("optim.lr=-1", "optim.lr"),
        ("timesteps.low=1.5", "timesteps.low"),
        ("task=everything", "task"),
        ("optim", "key=value"),
        ("task.name=edit", "not a section"),
        ("stages.0.size.name=edit", r"through stages\.0\.size, which is not a section"),
        ("stages.9.size=64", "the entry '9' of a list that has"),
        ("stages.size=64", "the entry 'size' of a list that has"),
        ("optim.betas=[1.5, 0.9]", r"optim\.betas"),
        ("optim.lr=inf", r"optim\.lr"),
        ("seed=99999999999999", "seed"),
        ("stages=[]", "stages"),
        ("model.preset=v9", "there is no preset v9"),
        ("model={}", "model.autoencoder and model.mllm must name"),
        ('stages=[{until=5, size=64, batch=1}, {until=5, size=64, batch=1}]', "each stage must end after"),
        ('stages=[{until=5, size=64, batch=1, mixture={dragons=1}}]', "mixture"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_sentence(setting: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        read_recipe(ROOT / "recipes/mini_edit.toml", [setting])
    assert "\n" not in str(caught.value)


def test_sizes_of_the_dit_may_differ_from_the_presets() -> None:
    path = ROOT / "recipes/mini_finer.toml"
    assert read_recipe(path).model.sizes() == PRESETS["mini"]
    assert read_recipe(path, ["model.patch=4"]).model.sizes() == PRESETS["mini"].with_patch(4)
    assert read_recipe(path, ["model.dit.depth_single_blocks=5"]).model.sizes().dit.depth_single_blocks == 5
    for setting, said in (("model.dit.depth=0", "depth must be at least 1"), ("model.dit.hidden=64", "hidden")):
        with pytest.raises(WeightsError, match=said):
            read_recipe(path, [setting]).model.sizes()


@pytest.mark.parametrize(("text", "said"), [(b"task = ", "not valid TOML"), (b"\xff\xfe", "not valid TOML"), (None, "cannot be read")])
def test_a_file_that_is_no_recipe(tmp_path: Path, text: bytes | None, said: str) -> None:
    path = tmp_path / "recipe.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(UsageError, match=said):
        read_recipe(path)
