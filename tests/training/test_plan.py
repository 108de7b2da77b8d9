"""The plan of the full size, from its recipe: numbers that can be checked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from step1x_edit.errors import UsageError
from step1x_edit.training.plan import GIB, Hardware, describe, make_plan
from step1x_edit.training.recipe import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_full_size_on_eight_gpus() -> None:
    plan = make_plan(read_recipe(RECIPES / "full.toml", ["stages=[{until=10, size=1024, batch=64, micro_batch=1}]"]), Hardware(8, 80))
    assert plan.parameters == {"dit": 11_891_178_560, "connector": 536_621_824, "trained": 12_427_800_384}
    (stage,) = plan.stages
    assert stage.cost.tokens == 640 + 2 * 64 * 64
    # six operations a weight and token, and attention: 57 blocks of 12 L^2 D; what picture tokens alone pass through, they alone pay for
    dense = 6 * plan.parameters["dit"] * stage.cost.tokens
    attention = 57 * 12 * stage.cost.tokens**2 * 3072
    assert 0.5 * dense + attention < stage.cost.flops < dense + attention
    trained = plan.parameters["trained"]
    assert stage.memory["weights"] == stage.memory["gradients"] == stage.memory["average"] == trained // 2
    assert stage.memory["optimizer"] == trained
    assert stage.memory["activations"] == stage.cost.recomputed < stage.cost.kept / 10
    assert plan.seconds(stage, 8) == pytest.approx(stage.cost.flops / (0.4 * 989e12))
    text = "\n".join(describe(plan, 1_000_000, price=2.0))
    assert "GPU hours" in text and "TOO MUCH" not in text


def test_float32_takes_what_it_takes() -> None:
    stages = ["stages=[{until=10, size=512, batch=8, micro_batch=1}]"]
    half, single = (make_plan(read_recipe(RECIPES / "full.toml", [*stages, f"precision={p}"]), Hardware(8)) for p in ("auto", "float32"))
    one, other = half.stages[0].memory, single.stages[0].memory
    assert other["weights"] == one["weights"] and other["weights put together"] == 2 * one["weights put together"]
    assert 1.6 * one["activations"] < other["activations"] < 2 * one["activations"]  # norms are float32 in both
    assert other["MLLM and autoencoder"] > 1.9 * one["MLLM and autoencoder"]
    assert "several times slower" in "\n".join(describe(single, 1)) and "several times slower" not in "\n".join(describe(half, 1))


def test_adapters_of_24_gb_fit_and_the_full_size_does_not() -> None:
    small = ["stages=[{until=10, size=768, batch=4, micro_batch=1}]"]
    adapters = make_plan(read_recipe(RECIPES / "lora_24gb.toml", small), Hardware(1, 24, 165)).stages[0]
    assert adapters.peak < 0.94 * 24 * GIB
    assert adapters.memory["weights"] < 15 * GIB  # one byte a weight of the blocks, and four of what learns
    full = make_plan(read_recipe(RECIPES / "full.toml", small), Hardware(1, 80))
    assert "TOO MUCH" in "\n".join(describe(full, 1000))


def test_what_cannot_be_planned_is_said() -> None:
    with pytest.raises(UsageError, match="batch of 4 cannot be shared by 8"):
        make_plan(read_recipe(RECIPES / "full.toml", ["stages=[{until=10, size=512, batch=4}]"]), Hardware(8))
    with pytest.raises(UsageError, match="task edit"):
        make_plan(read_recipe(RECIPES / "mini_mllm.toml", []), Hardware())
