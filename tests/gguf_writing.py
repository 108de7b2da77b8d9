"""GGUF files as the converters of others write them, by the format's own package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from torch import Tensor

Kind = GGMLQuantizationType


def write_gguf(
    path: Path, tensors: Mapping[str, Tensor], kind: Kind, prefix: str = "", arrays: Mapping[str, Sequence[int]] | None = None
) -> Path:
    """Matrices in that type, all else in float32; `arrays` are written before them, as other facts are."""
    writer = GGUFWriter(path, "flux")
    for name, values in (arrays or {}).items():
        writer.add_array(name, values)
    for name, tensor in tensors.items():
        own = kind if tensor.ndim == 2 and tensor.shape[1] % 32 == 0 else Kind.F32
        writer.add_tensor(prefix + name, quantize(tensor.float().numpy(), own), raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
