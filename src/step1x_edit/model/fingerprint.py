"""Which weights a model has, in twelve characters, so that an edited picture can say what made it.

Released weights take a minute to read whole; of each file its length and blocks spread evenly over it are read, which tells apart what
was trained apart: training moves every matrix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from step1x_edit.errors import WeightsError
from step1x_edit.model.presets import Preset
from step1x_edit.model.tensors import list_shards
from step1x_edit.model.weights import find_autoencoder, find_mllm, find_model

BLOCKS, BLOCK = 64, 64 * 1024
"""Blocks that are read of a file, and bytes of each; a file that is no longer than all of them is read whole."""


def fingerprint(folder: Path, preset: Preset) -> str:
    """Twelve hexadecimal characters of a SHA-256 over the weights of DiT and connector, autoencoder and MLLM.

    Raises:
        WeightsError: weights are missing.
    """
    files = [*list_shards(find_model(folder, preset)), *list_shards(find_autoencoder(folder))]
    if (found := find_mllm(folder)) is not None:
        files += sorted(found[0].glob("*.safetensors"))
    return fingerprint_files(files)


def fingerprint_files(files: Iterable[Path]) -> str:
    """Twelve hexadecimal characters of a SHA-256 over some files of weights; raises as `fingerprint` does."""
    digest = hashlib.sha256()
    for file in files:
        try:
            _read(file, digest)
        except OSError as error:
            raise WeightsError(f"The weights {file} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()[:12]


def _read(file: Path, digest: hashlib._Hash) -> None:
    size = file.stat().st_size
    digest.update(size.to_bytes(8, "little"))
    with file.open("rb") as content:
        if size <= BLOCKS * BLOCK:
            digest.update(content.read())
            return
        for number in range(BLOCKS):
            content.seek(number * (size - BLOCK) // (BLOCKS - 1))
            digest.update(content.read(BLOCK))
