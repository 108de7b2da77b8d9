"""The composition: rope ids of the versions, what padding reaches, what a reference change means, and how training starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from step1x_edit.flow.packing import pack, unpack
from step1x_edit.flow.sampler import sample
from step1x_edit.model.presets import Preset
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import SMALLEST_TIME, Step1XEdit

Draw = Callable[..., Tensor]
Model = Callable[..., Step1XEdit]
GRID = Grid(2, 3)
T = torch.tensor([0.8, 0.3])


@pytest.mark.parametrize(("name", "kind", "offset"), [("v1.0", 0, 0), ("v1.1", 1, 1), ("v1.2", 1, 0)])
def test_ids_are_text_then_noise_then_reference(tiny_model: Model, embedding: Embedding, name: str, kind: int, offset: int) -> None:
    reference_grid = Grid(1, 2)
    expected = [[0, 0, 0]] * 7
    expected += [[0, i, j] for i in range(2) for j in range(3)]
    expected += [[kind, i + offset, j + offset] for i in range(1) for j in range(2)]
    assert tiny_model(name).ids(embedding, GRID, reference_grid).tolist() == [expected]


def test_ids_of_squeezed_pictures_have_the_distances_of_the_pictures(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy = tiny_model("mini"), draw(2, 6, 16)
    both = replace(GRID, stretch_B=torch.tensor([4.0, 1.0]))
    wide, plain = model.ids(embedding, both, both)
    assert plain.tolist() == model.ids(embedding, GRID, GRID)[0].tolist()
    torch.testing.assert_close(wide, plain * torch.tensor([1, 0.5, 2]))
    told, untold = model(noisy, noisy, embedding, T, both), model(noisy, noisy, embedding, T, GRID)
    torch.testing.assert_close(told[1], untold[1])
    assert (told[0] - untold[0]).abs().max() > 1e-4


def test_ids_count_rope_units_where_these_are_not_tokens(tiny_model: Model, embedding: Embedding) -> None:
    model = tiny_model("v1.2")
    model.preset = replace(model.preset, rope_unit=2 * model.preset.patch)
    ids = model.ids(embedding, Grid(2, 4), None)[0, -8:]
    assert ids[:, 1].tolist() == [-0.25] * 4 + [0.25] * 4  # two tokens make a unit, whose middle is its place
    assert ids[:, 2].tolist() == [-0.25, 0.25, 0.75, 1.25] * 2


def test_ids_of_the_text_may_come_with_it(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    given = replace(embedding, ids_BLA=draw(2, 7, 3))
    ids = tiny_model("v1.2").ids(given, GRID, GRID)
    assert ids.shape == (2, 7 + 12, 3)
    torch.testing.assert_close(ids[:, :7], given.ids_BLA)


def test_text_ids_matter(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy = tiny_model("v1.2"), draw(2, 6, 16)
    moved = replace(embedding, ids_BLA=torch.arange(7.0).view(1, 7, 1).expand(1, 7, 3))
    zero = replace(embedding, ids_BLA=torch.zeros(1, 7, 3))
    plain = model(noisy, noisy, embedding, T, GRID)
    torch.testing.assert_close(model(noisy, noisy, zero, T, GRID), plain)
    assert (model(noisy, noisy, moved, T, GRID) - plain).abs().max() > 1e-4


def test_the_reference_follows_the_noise(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    """With v1.0's shared ids nothing but the order tells both apart, so that exchanging them exchanges the two halves."""
    model, noisy, reference = tiny_model("v1.0"), draw(2, 6, 16), draw(2, 6, 16, seed=2)
    context, ids = model.connector(embedding, T), model.ids(embedding, GRID, GRID)
    one, other = model.decode(noisy, reference, context, T, ids), model.decode(reference, noisy, context, T, ids)
    torch.testing.assert_close(one[:, :6], other[:, 6:])
    torch.testing.assert_close(model(noisy, reference, embedding, T, GRID), one[:, :6])


@pytest.mark.parametrize(("name", "takes_part"), [("v1.0", True), ("v1.1", True), ("v1.2", False), ("mini", False)])
def test_whether_padding_takes_part(tiny_model: Model, embedding: Embedding, draw: Draw, name: str, takes_part: bool) -> None:
    model, noisy = tiny_model(name).train(), draw(2, 6, 16)  # as in training, where no doubt is dropped, which would magnify rounding
    short = Embedding(embedding.tokens_BLC[1:, :4], embedding.mask_BL[1:, :4])
    first = torch.ones(2)  # of a change, the velocity is that by t: a small t would magnify rounding, too
    alone = model(noisy[1:], noisy[1:], short, first[1:], GRID)
    padded = model(noisy, noisy, embedding, first, GRID)[1:]
    assert (float((alone - padded).abs().max()) > 1e-4) == takes_part
    if not takes_part:
        torch.testing.assert_close(padded, alone)


def test_without_a_reference_a_velocity_comes_back(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    noisy = draw(2, 6, 16)
    for name in ("v1.0", "mini"):
        assert tiny_model(name)(noisy, None, embedding, T, GRID).shape == noisy.shape


def test_a_reference_of_another_size(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    velocity = tiny_model("v1.1")(draw(2, 6, 16), draw(2, 8, 16), embedding, T, GRID, Grid(2, 4))
    assert velocity.shape == (2, 6, 16)


def test_velocity_of_a_change_leads_to_the_changed_reference(draw: Draw) -> None:
    change, noisy, reference = draw(2, 6, 16), draw(2, 6, 16, seed=2), draw(2, 6, 16, seed=3)
    velocity = Step1XEdit.velocity_of_change(change, noisy, reference, T)
    torch.testing.assert_close(noisy - T.view(2, 1, 1) * velocity, reference + change)
    at_zero = Step1XEdit.velocity_of_change(change, noisy, reference, torch.zeros(2))
    torch.testing.assert_close(at_zero * SMALLEST_TIME, noisy - reference - change)


def test_what_goes_of_the_reference_goes_from_all_channels_of_a_latent_pixel(draw: Draw) -> None:
    latent, gone = draw(1, 4, 4, 6), torch.zeros(1, 1, 4, 6)
    gone[0, 0, 1, 2], gone[0, 0, 3, 5] = 1, 0.25
    faded = unpack(Step1XEdit.fade(pack(latent, 2), pack(gone, 2)), 2, 3, 2)
    torch.testing.assert_close(faded, latent * (1 - gone))


def test_doubt_is_dropped_where_something_goes_for_good_and_kept_where_all_changes_a_little(draw: Draw) -> None:
    change, gone = draw(3, 6, 16), torch.full((3, 6, 4), 0.08)
    gone[0, 2], gone[0, 3, 0] = 0.9, 0.2
    gone[2, 2] = 0.6  # half-way to what goes for good
    settled, left = Step1XEdit.settle(change, gone)
    torch.testing.assert_close((settled[1], left[1]), (change[1], gone[1]))
    torch.testing.assert_close((settled[0, 2], left[0, 2]), (change[0, 2], gone[0, 2]))
    assert not settled[0, [0, 1, 4, 5]].any()
    assert not left[0, [0, 1, 4, 5]].any()
    assert 0 < left[0, 3, 0] < 0.2
    assert not left[0, 3, 1:].any()
    torch.testing.assert_close(settled[0, 3, ::4] / change[0, 3, ::4], (left[0, 3, 0] / gone[0, 3, 0]).expand(4))
    torch.testing.assert_close((settled[2, 0], left[2, 0]), (change[2, 0] / 2, gone[2, 0] / 2))


def test_doubt_is_dropped_when_editing_but_not_in_training_nor_without_a_reference(
    tiny: Callable[[str], Preset], embedding: Embedding, draw: Draw
) -> None:
    model = Step1XEdit(replace(tiny("mini"), dit=replace(tiny("mini").dit, out_channels=20), prediction="reference_blend"))
    model.initialise(3)
    with torch.no_grad():
        model.final_layer.linear.bias[16:] = torch.tensor([0.05, 0.05, 0.05, 0.9])  # of each patch a latent pixel goes for good
        noisy, reference = draw(2, 6, 16), draw(2, 6, 16, seed=2)
        drawn = {}
        for training in (True, False):
            velocity = model.train(training)(noisy, reference, embedding, T, GRID)
            drawn[training] = (noisy - T.view(2, 1, 1) * velocity) / reference
            assert model(noisy, None, embedding, T, GRID).abs().max() == 0
    torch.testing.assert_close(drawn[True][..., ::4], torch.full((2, 6, 4), 0.95))
    torch.testing.assert_close(drawn[False][..., ::4], torch.ones(2, 6, 4))
    torch.testing.assert_close(drawn[True][..., 3::4], drawn[False][..., 3::4])


@pytest.mark.parametrize("prediction", ["reference_change", "reference_blend"])
def test_training_starts_from_leaving_the_picture_as_it_is(
    prediction: str, tiny: Callable[[str], Preset], embedding: Embedding, draw: Draw
) -> None:
    dit = replace(tiny("mini").dit, out_channels=20 if prediction == "reference_blend" else 16)
    model = Step1XEdit(replace(tiny("mini"), dit=dit, prediction=prediction))
    model.initialise(3)
    reference = draw(2, 6, 16)
    with torch.no_grad():
        edited = sample(lambda x, t: model(x, reference, embedding, t, GRID), draw(2, 6, 16, seed=2), [1.0, 0.6, 0.2, 0.0])
    torch.testing.assert_close(edited, reference)


def test_initialisation_depends_on_the_seed_alone(tiny: Callable[[str], Preset]) -> None:
    models = [Step1XEdit(tiny("mini")) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        model.initialise(seed)
    first, same, other = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_every_parameter_learns(tiny: Callable[[str], Preset], embedding: Embedding, draw: Draw, randomise: Callable[..., None]) -> None:
    model = Step1XEdit(tiny("v1.2"))
    randomise(model)
    quoted = replace(embedding, quoted_BLC=draw(2, 7, 14), quoted_mask_BL=embedding.mask_BL)
    model(draw(2, 6, 16), draw(2, 6, 16, seed=2), quoted, T, GRID).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
