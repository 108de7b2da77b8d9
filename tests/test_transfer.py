"""The edit laid over the full-size original: exact where nothing changed, true to the whole edit elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from step1x_edit.image_io import resize
from step1x_edit.image_sizes import fit_size
from step1x_edit.transfer import RIDGE, _fit_affine, transfer

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
Edit = Callable[[Image.Image], Image.Image]


def curve(function: Callable[[float], float]) -> Edit:
    table = [round(255 * min(1.0, max(0.0, function(i / 255)))) for i in range(256)] * 3
    return lambda image: image.point(table)


def disc(image: Image.Image, colour: tuple[int, int, int] = (220, 40, 30)) -> Image.Image:
    image = image.copy()
    (width, height), radius = image.size, 0.18 * min(image.size)
    centre = (width / 2, height / 2)
    ImageDraw.Draw(image).ellipse([*(c - radius for c in centre), *(c + radius for c in centre)], fill=colour)
    return image


TONES: dict[str, Edit] = {
    "darker": curve(lambda x: 0.35 * x),
    "brighter": curve(lambda x: x + 0.12),
    "gamma": curve(lambda x: x**0.6),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "sepia": lambda image: image.convert("RGB", (0.39, 0.77, 0.19, 0, 0.35, 0.69, 0.17, 0, 0.27, 0.53, 0.13, 0)),
}


def colours(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def edit_small(image: Image.Image, edit: Edit, noise: float = 0.0, size: int = 128) -> np.ndarray:
    """What comes out when a perfect model draws `edit` at `size`, up to noise of so many values of 255."""
    small = resize(image, fit_size(*image.size, size, 16))
    drawn = colours(resize(edit(image), small.size))
    drawn = (drawn + noise / 255 * torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    return transfer(np.asarray(image), colours(small), colours(small), drawn)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.square(a.astype(float) - b.astype(float)).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.fixture(scope="module", params=["lake-sherburne", "chelsea", "drawn"])
def picture(request: pytest.FixtureRequest, draw_scene: Callable[..., Image.Image]) -> Image.Image:
    if request.param == "drawn":
        return draw_scene(1024, 1024)
    return Image.open(PHOTOS / f"{request.param}.jpg").convert("RGB")


def test_no_edit_gives_identical_bytes(picture: Image.Image) -> None:
    assert np.array_equal(edit_small(picture, lambda image: image), np.asarray(picture))


def test_noise_is_no_edit(picture: Image.Image) -> None:
    assert (edit_small(picture, lambda image: image, noise=2.0) == np.asarray(picture)).all()


def test_a_reconstruction_error_cancels(picture: Image.Image) -> None:
    small = resize(picture, fit_size(*picture.size, 128, 16))
    blurred = colours(small.reduce(4).resize(small.size))
    assert np.array_equal(transfer(np.asarray(picture), colours(small), blurred, blurred), np.asarray(picture))


@pytest.mark.parametrize("name", TONES)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_tone_reaches_the_finest_detail(name: str, noise: float, picture: Image.Image) -> None:
    wanted = np.asarray(TONES[name](picture))
    result = edit_small(picture, TONES[name], noise)
    enlarged = np.asarray(resize(TONES[name](picture), fit_size(*picture.size, 128, 16)).resize(picture.size, Image.Resampling.BICUBIC))
    assert psnr(result, wanted) > 35
    assert psnr(result, wanted) > psnr(enlarged, wanted) + 3


def test_a_tone_edit_has_no_halos() -> None:
    """Beside an edge, a darkened picture has no values that its two sides do not have."""
    pixels = np.full((400, 400, 3), 60, np.uint8)
    pixels[:, 200:] = 200
    result = edit_small(Image.fromarray(pixels), curve(lambda x: 0.5 * x))
    assert set(np.unique(result)) <= {29, 30, 31, 99, 100, 101}


def test_new_content_is_where_it_was_drawn(picture: Image.Image) -> None:
    result, original, wanted = edit_small(picture, disc, noise=1.0), np.asarray(picture), np.asarray(disc(picture))
    height, width = original.shape[:2]
    assert np.abs(result[height // 2, width // 2].astype(int) - (220, 40, 30)).max() <= 6
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot(x - width / 2, y - height / 2)
    drawn_width, drawn_height = fit_size(width, height, 128, 16)
    radius, drawn_pixel = 0.18 * min(width, height), max(width / drawn_width, height / drawn_height)
    inside, outside = distance < radius - 4 * drawn_pixel, distance > radius + 8 * drawn_pixel
    assert psnr(result[inside], wanted[inside]) > 30
    assert np.array_equal(result[outside], original[outside])


def test_removed_content_leaves_no_trace() -> None:
    clean = Image.new("RGB", (512, 512), (90, 130, 170))
    with_disc = disc(clean)
    result = edit_small(with_disc, lambda _: clean)
    assert np.abs(result.astype(int) - np.asarray(clean)).mean() < 1
    assert np.abs(result.astype(int) - np.asarray(clean)).max() < 60  # at the rim, which is finer than the drawing


def test_edits_meet_at_the_originals_edges() -> None:
    """One half is recoloured; the border between the halves stays as sharp as it was."""
    pixels = np.full((512, 512, 3), 220, np.uint8)
    pixels[:, 259:] = (200, 30, 30)
    recolour = pixels.copy()
    recolour[:, 259:] = (30, 30, 200)
    result = edit_small(Image.fromarray(pixels), lambda _: Image.fromarray(recolour))
    assert np.abs(result.astype(int) - recolour).max() <= 3


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 5), (97, 101), (1999, 37), (40, 30)])
def test_any_size(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (100, 120, 140))
    result = edit_small(image, lambda image: Image.new("RGB", image.size, (40, 60, 200)))
    assert result.shape == (size[1], size[0], 3)
    assert np.abs(result.astype(int) - (40, 60, 200)).max() <= 1
    assert np.array_equal(edit_small(image, lambda image: image), np.asarray(image))


def test_the_original_is_left_alone(scene: Image.Image) -> None:
    pixels = np.array(scene)
    kept = pixels.copy()
    small = colours(resize(scene, (48, 32)))
    transfer(pixels, small, small, 1 - small)
    assert np.array_equal(pixels, kept)


def test_affine_fit_agrees_with_least_squares() -> None:
    """A window that holds the whole picture, against the ridge regression of all its pixels."""
    generator = torch.Generator().manual_seed(0)
    guide, values = torch.rand(3, 4, 5, generator=generator), torch.rand(3, 4, 5, generator=generator)
    gain, shift = _fit_affine(guide, values, radius=100)
    x, y = guide.reshape(3, -1).T, values.reshape(3, -1).T
    centred = x - x.mean(0)
    solution = torch.linalg.lstsq(
        torch.cat([centred, (RIDGE * len(x)) ** 0.5 * torch.eye(3)]), torch.cat([y - y.mean(0), torch.zeros(3, 3)])
    ).solution
    for row in range(4):
        assert torch.allclose(gain[:, row, 0].reshape(3, 3), solution.T, atol=1e-4)
        assert torch.allclose(shift[:, row, 0], y.mean(0) - x.mean(0) @ solution, atol=1e-4)


def _patchy(image: Image.Image, edit: Edit) -> np.ndarray:
    """What comes out when the model draws `edit` unevenly, in patches of 16 pixels."""
    small = resize(image, fit_size(*image.size, 128, 16))
    patches = torch.randn(1, 3, small.height // 16, small.width // 16, generator=torch.Generator().manual_seed(0))
    unevenness = 12 / 255 * torch.nn.functional.interpolate(patches, (small.height, small.width), mode="bicubic")[0]
    drawn = (colours(resize(edit(image), small.size)) + unevenness).clamp(0, 1)
    return transfer(np.asarray(image), colours(small), colours(small), drawn)


@pytest.mark.parametrize("name", ["darker", "gamma", "sepia"])
def test_an_uneven_tone_edit_is_made_even(name: str, picture: Image.Image) -> None:
    wanted = np.asarray(TONES[name](picture))
    assert psnr(_patchy(picture, TONES[name]), wanted) > 30  # the unevenness alone is 27 dB


def test_what_stands_out_of_a_tone_edit_is_kept() -> None:
    def night_with_moon(image: Image.Image) -> Image.Image:
        night = TONES["darker"](image)
        left, top, side = 0.7 * image.width, 0.1 * image.height, 0.06 * image.width
        ImageDraw.Draw(night).ellipse([left, top, left + side, top + side], "#ffffdd")
        return night

    picture = Image.open(PHOTOS / "lake-sherburne.jpg").convert("RGB")
    result = _patchy(picture, night_with_moon)
    moon = result[round(0.1 * picture.height + 0.03 * picture.width), round(0.73 * picture.width)]
    assert moon.min() > 180


def test_lines_of_a_drawing_are_kept() -> None:
    """White with thin dark lines: nearly all of the change is one of tone, and the lines are what counts."""

    def draw(image: Image.Image) -> Image.Image:
        sheet = Image.new("RGB", image.size, "white")
        for x in range(30, image.width, 60):
            ImageDraw.Draw(sheet).line([(x, 0), (x, image.height)], "black", 8)
        return sheet

    picture = Image.open(PHOTOS / "lake-sherburne.jpg").convert("RGB")
    result = edit_small(picture, draw)
    assert result[:, 30].mean() < 60 and result[:, 60].mean() > 235
