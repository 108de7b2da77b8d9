"""The plan of memory: what settings need, and which are taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from step1x_edit.errors import UsageError
from step1x_edit.memory import GIB, ORDER, Part, Placement, Plan, offloads_of
from step1x_edit.model.presets import PRESETS


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(PRESETS["v1.1"], 1024)


def test_the_weights_are_those_of_the_release(plan: Plan) -> None:
    assert {name: round(number / 1e9, 2) for name, number in plan.parameters.items()} == {
        "mllm": 8.29,
        "autoencoder": 0.08,
        "connector and dit": 12.43,
    }
    whole = sum(plan.parameters.values()) * 2
    need = plan.need(Placement())
    assert need.main == 0 and whole < need.device < whole + 4 * GIB
    waiting = whole - 2 * plan.parameters["autoencoder"]
    assert waiting < plan.need(Placement(offload="parts")).main < 2 * waiting


def test_in_pinned_memory_each_tensor_takes_a_power_of_two() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.ModuleList([nn.ModuleList([nn.Linear(3, 5)])]))  # matrices of 60 bytes, biases of 20
    assert (Part.of(model, "full").whole, Part.of(model, "full").pinned) == (2 * (60 + 20), 2 * (64 + 32))
    # in the block a matrix of 15 bytes, with five scales of 4
    assert (Part.of(model, "int8").whole, Part.of(model, "int8").pinned) == (60 + 20 + 15 + 20 + 20, 64 + 32 + 16 + 32 + 32)


def test_every_setting_saves_something(plan: Plan) -> None:
    full = Placement()
    for smaller in (
        replace(full, weights="int8"),
        replace(full, weights="int4"),
        replace(full, offload="parts"),
        replace(full, split=True),
    ):
        assert plan.need(smaller).stages["sampling"] < plan.need(full).stages["sampling"]
    assert plan.need(Placement(offload="blocks")).device < 0.2 * plan.need(Placement(offload="parts")).device
    strips = plan.need(replace(full, strips=True)).stages["pictures"]
    assert strips < plan.need(full).stages["pictures"]


@pytest.mark.parametrize(
    ("gib", "weights", "place"), [(80, "full", "none"), (32, "full", "parts"), (16, "int8", "parts"), (8, "full", "blocks")]
)
def test_the_first_that_fits_is_taken(plan: Plan, gib: float, weights: str, place: str) -> None:
    best = plan.best(gib * GIB)
    assert (best.placement.weights, best.placement.offload) == (weights, place)
    assert best.device < gib * GIB
    earlier = ORDER[: ORDER.index((best.placement.weights, best.placement.offload))]
    assert not any(plan.need(Placement(w, o, True, True)).fits(gib * GIB) for w, o in earlier)


def test_less_memory_costs_time_first(plan: Plan) -> None:
    """From more to less memory: strips and split are taken only where the setting does not fit without."""
    just = plan.need(Placement("int8", "parts")).device
    assert not plan.best(just / 0.93).placement.split
    assert plan.best(just / 0.95).placement.split


@pytest.mark.parametrize(
    ("gib", "main", "weights", "place"),
    [(24, 16, "int8", "none"), (32, 64, "int8", "none"), (16, 64, "int8", "parts"), (16, 32, "int4", "none"), (12, 32, "int4", "parts")],
)
def test_what_waits_must_fit_main_memory(plan: Plan, gib: float, main: float, weights: str, place: str) -> None:
    best = plan.best(gib * GIB, main_bytes=main * GIB)
    assert (best.placement.weights, best.placement.offload) == (weights, place)
    assert best.main < main * GIB


def test_int4_is_half_of_int8_and_less_than_a_third_of_all(plan: Plan) -> None:
    """Of the model's blocks; embeddings and ends of both models stay as they are."""
    sizes = {kind: plan.need(Placement(kind)).stages["sampling"] for kind in ("full", "int8", "int4")}  # type: ignore[arg-type]
    blocks = sizes["full"] - sizes["int8"]  # half of the blocks' matrices, less the scales
    assert (sizes["int8"] - sizes["int4"]) / blocks == pytest.approx((8 - 4.5) / 8, rel=0.02)


def test_too_little_is_one_sentence(plan: Plan) -> None:
    with pytest.raises(UsageError, match=r"v1\.1 at size 1024 needs at least [\d.]+ GiB of memory, not 2; choose a smaller size"):
        plan.best(2 * GIB)
    with pytest.raises(UsageError, match=r"needs at least [\d.]+ GiB of memory, not 12; .* a device that can be offloaded"):
        plan.best(12 * GIB, ("none",))
    with pytest.raises(UsageError, match=r"fits into 12 GiB only with 25\.1 GiB of main memory, .* this machine has 16\.0; choose"):
        plan.best(12 * GIB, main_bytes=16 * GIB)
    with pytest.raises(UsageError, match="choose one of full, float8, int8, int4"):
        Placement(weights="int2")  # type: ignore[arg-type]


def test_several_devices_never_have_blocks_wait(plan: Plan) -> None:
    """Which `Placement.check` refuses: the way that `--vram` takes is one that opens."""
    gpus = [torch.device("cuda", i) for i in range(2)]
    one, two = (plan.best(12 * GIB, offloads_of(devices)).placement for devices in (1, 2))
    assert one.offload == "blocks" and (two.weights, two.offload) == ("int4", "parts")
    assert two.check(gpus) == gpus
    with pytest.raises(UsageError, match="needs at least"):
        plan.best(6 * GIB, offloads_of(2))


def test_settings_are_spelled_as_options() -> None:
    assert Placement("int8", "parts", split=True).spell() == "--weights-dtype int8 --offload parts --split"


def test_with_a_cache_nothing_is_split() -> None:
    plans = {cached: Plan(PRESETS["mini"], 512, cached=cached) for cached in (False, True)}
    for cached, plan in plans.items():
        assert {need.placement.split for need in plan.each(0)} == {not cached}
    split, together = (next(plans[cached].each(0)).stages["sampling"] for cached in (False, True))
    assert split < together
