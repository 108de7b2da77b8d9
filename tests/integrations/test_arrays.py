"""Pictures survive being arrays, and what is no picture is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from step1x_edit.errors import UsageError
from step1x_edit.integrations.arrays import to_array, to_pictures


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_every_value_comes_back(mode: str, scene: Image.Image) -> None:
    first = scene.convert(mode)
    second = first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    array = to_array([first, second])
    assert array.dtype == np.float32 and array.shape == (2, 200, 300, len(mode)) and array.min() >= 0 and array.max() <= 1
    assert [each.tobytes() for each in to_pictures(torch.from_numpy(array))] == [first.tobytes(), second.tobytes()]
    assert to_pictures(array[0])[0].tobytes() == first.tobytes()
    assert to_pictures(np.asarray(first))[0].tobytes() == first.tobytes()
    assert to_pictures(torch.from_numpy(array) * 1.2 - 0.1)[0].size == first.size  # as resampling goes beyond 0 and 1


def test_what_is_no_picture_is_refused(scene: Image.Image) -> None:
    for shape in [(2, 2), (1, 2, 2, 5), (0, 2, 2, 3), (1, 1, 2, 2, 3)]:
        with pytest.raises(UsageError, match=r"shape \[B, H, W, C\]"):
            to_pictures(np.zeros(shape, np.float32))
    with pytest.raises(UsageError, match="finite"):
        to_pictures(np.full((1, 2, 2, 3), np.nan))
    with pytest.raises(UsageError, match=r"values from .* to 255; give bytes"):
        to_pictures(np.asarray(scene, dtype=np.float32) + 255 - np.asarray(scene).max())
    with pytest.raises(UsageError, match="values from -1 to 1; give bytes"):  # as autoencoders take them
        to_pictures(np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 4, 4, 3))
    with pytest.raises(UsageError, match="different sizes"):
        to_array([scene, scene.resize((10, 10))])
