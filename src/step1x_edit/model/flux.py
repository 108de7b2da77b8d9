"""Text-to-image models of FLUX layout, as a start: their DiT is the editor's; the connector, which they lack, is new.

Both layouts are read: the original single file, whose names are ours, and `transformer/` of a diffusers folder. What such a model has and
the editor has not is left out: the embedding of distilled guidance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from step1x_edit.errors import WeightsError
from step1x_edit.model.layouts import TRANSFORMER, Rule
from step1x_edit.model.presets import Preset
from step1x_edit.model.weights import DIFFUSERS_FILES, find_model, open_tensors

_EMBEDDERS = {
    "time_in": "time_text_embed.timestep_embedder",
    "vector_in": "time_text_embed.text_embedder",
    "guidance_in": "time_text_embed.guidance_embedder",
}
_LAYERS = {"in_layer": "linear_1", "out_layer": "linear_2"}
FLUX: tuple[Rule, ...] = (
    *(
        Rule(f"{ours}.{layer}.**", (f"{theirs}.{their_layer}.**",))
        for ours, theirs in _EMBEDDERS.items()
        for layer, their_layer in _LAYERS.items()
    ),
    *TRANSFORMER,
)
"""A FLUX transformer of diffusers: as the editor's, but for the names of its embedders."""

FILES = ("flux1-dev.safetensors", "flux1-schnell.safetensors")
"""Names of the original single files."""

_LEFT_OUT = "guidance_in."
_NEW = "connector."


class TextToImage(Mapping[str, Tensor]):
    """The weights that a text-to-image model has for the editor, under our names, each read when asked for.

    Attributes:
        left_out: names that the editor has no use for.
        new: names of the editor's weights that are to be made anew, all of the connector.

    Raises:
        WeightsError: on construction, if weights of the DiT are missing or too many; sizes are for the reader to check.
    """

    def __init__(self, file: Path, expected: Mapping[str, Tensor]) -> None:
        self._tensors = open_tensors(file, FLUX)
        self.left_out = sorted(name for name in self._tensors if name.startswith(_LEFT_OUT))
        self.new = sorted(name for name in expected if name.startswith(_NEW))
        missing = sorted(expected.keys() - self._tensors.keys() - set(self.new))
        unknown = sorted(self._tensors.keys() - expected.keys() - set(self.left_out))
        if missing or unknown:
            named = ", ".join((missing or unknown)[:3])
            raise WeightsError(
                f"{file} is no text-to-image model that the editor can start from: {len(missing)} weights are missing and {len(unknown)} "
                f"are unknown ({named}{', ...' if len(missing or unknown) > 3 else ''})."
            )

    def __getitem__(self, name: str) -> Tensor:
        if name.startswith(_LEFT_OUT):
            raise KeyError(name)
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._tensors if not name.startswith(_LEFT_OUT))

    def __len__(self) -> int:
        return len(self._tensors) - len(self.left_out)


def find_start(path: Path, preset: Preset) -> Path:
    """The file or index that holds a DiT to start from, of a text-to-image model or of the editor; raises as `find_model` does."""
    names = (*FILES, *(f"transformer/{name}" for name in DIFFUSERS_FILES), *DIFFUSERS_FILES)
    return next((path / name for name in names if (path / name).is_file()), None) or find_model(path, preset)


def is_text_to_image(file: Path) -> bool:
    """Whether a file or index holds a DiT without a connector."""
    names = list(open_tensors(file, FLUX))
    return not any(name.startswith(_NEW) for name in names) and any("single_" in name for name in names)
