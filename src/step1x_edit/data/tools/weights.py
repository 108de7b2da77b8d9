"""Weights of the tools that run a model: where they lie, what is written down of them, and loading them whole or not at all.

Every model comes from a folder or a file on this machine, or from a repository of the Hugging Face hub, which is fetched into the hub's
own cache. Only safetensors and ONNX are opened, and no code from a repository is run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import ToolCard
from step1x_edit.errors import Step1XError, UsageError, WeightsError, first_line

if TYPE_CHECKING:
    import torch

FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
"""What a transformers model is made of."""

PIPELINE_FILES = ("model_index.json", *(f"*/{pattern}" for pattern in FILES))
"""What a diffusers pipeline is made of: what lies beside its parts holds the same weights once more."""

_DUPLICATES = ("text_encoders/*", "*.fp16.*", "*.fp16-*", "*.bf16.*", "*.non_ema.*")
"""Other formats of weights that are there already."""

_BLOCK = 1 << 22


@dataclass(frozen=True)
class Weights:
    """A model's files on this machine.

    Attributes:
        path: a folder, or one file.
        facts: JSON-able: `model` as it was asked for, `revision` of the repository where it is from one, `sha256` of all files together.
    """

    path: Path
    facts: dict[str, str]


def find_weights(choice: ToolChoice, model: str | None, patterns: Sequence[str] = FILES, *, part: str = "") -> Weights:
    """Find a model's files, fetching them where they are not here yet.

    Args:
        choice: what the recipe says; its `model` comes before the tool's own, its `parts[part]` where a part is named.
        model: the tool's own model, a repository; None where it has none.
        patterns: names of the files that are needed, below the folder or repository; `?` and `*` as a shell takes them.
        part: which of a tool's several models this is; the main one is not named.

    Raises:
        UsageError: no model is named, and the tool has none of its own.
        WeightsError: files are missing, or cannot be fetched.
    """
    asked = choice.parts.get(part, model) if part else choice.model or model
    if not asked:
        raise UsageError(f'The tool {choice.name} needs a model; name a folder or a repository: "{choice.name}:MODEL".')
    if Path(asked).exists():
        path, revision = Path(asked), None
    else:
        repository, _, wanted = asked.partition("@")
        path, revision = _fetch(repository, wanted or (None if part else choice.revision), patterns)
    files = _list_files(path, patterns)
    if not files:
        raise WeightsError(f"{asked} holds no {' or '.join(patterns)}; give a folder that does, or a repository of the hub.")
    root = path if path.is_dir() else path.parent
    lines = [f"{digest_file(file)}  {file.relative_to(root).as_posix()}\n" for file in files]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest() if path.is_dir() else digest_file(path)
    return Weights(path, {"model": asked, **({"revision": revision} if revision else {}), "sha256": digest})


def _list_files(path: Path, patterns: Sequence[str]) -> list[Path]:
    if path.is_file():
        return [path]
    found = {file for pattern in patterns for file in path.glob(pattern) if file.is_file()}
    return sorted(file for file in found if not any(file.relative_to(path).match(pattern) for pattern in _DUPLICATES))


def _fetch(repository: str, revision: str | None, patterns: Sequence[str]) -> tuple[Path, str]:
    """Fetch a repository's files: where they are, and the commit that they are of."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, HTTPError

    try:
        place = Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns), ignore_patterns=list(_DUPLICATES)))
    except HFValidationError as error:
        raise WeightsError(f"{repository} is neither a folder here nor the name of a repository of the hub; correct the model.") from error
    except (HTTPError, OSError) as error:
        raise WeightsError(
            f"{repository} cannot be fetched ({first_line(error)}); fetch it elsewhere, and give the folder as the model."
        ) from error
    return place, place.name


def digest_file(path: Path) -> str:
    """sha256 of a file; in the hub's cache the name of the file that a link leads to says it already."""
    real = path.resolve()
    if path.is_symlink() and len(real.name) == 64 and set(real.name) <= set("0123456789abcdef"):
        return real.name
    state = real.stat()
    return _digest(real, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, changed: int) -> str:
    """The same, once for each state of the file: weights take seconds to read."""
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def explain(weights: Weights, tool: str) -> Iterator[None]:
    """Say in one sentence why a library cannot load a model."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, ImportError, SafetensorError) as error:
        raise WeightsError(
            f"{weights.facts['model']} cannot be loaded as the tool {tool} ({first_line(error)}); give a model of its kind."
        ) from error


def load_model(kind: Any, weights: Weights, choice: ToolChoice) -> Any:
    """Load a transformers model, every weight of it from the files.

    Args:
        kind: its class, whose `from_pretrained` is called.
        weights: its files.
        choice: says device and dtype; float32 where it does not: these models are small, and thresholds feel rounding.

    Returns:
        The model on its device, for inference alone.

    Raises:
        WeightsError: the files are of another model, damaged, or not all there.
    """
    from step1x_edit.devices import choose_device, choose_dtype

    device = choose_device(choice.device)
    dtype = choose_dtype(choice.dtype or "float32", device)
    with explain(weights, choice.name):
        model, report = kind.from_pretrained(
            weights.path, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    check_whole(report["missing_keys"], weights, choice.name)
    return model.to(device).eval().requires_grad_(False)


def check_whole(missing: Collection[str], weights: Weights, tool: str) -> None:
    """Refuse a model of whose weights the files lack some, which a library would draw at random; raises WeightsError."""
    if missing:
        raise WeightsError(
            f"{weights.facts['model']} lacks {len(missing)} weights of the tool {tool} ({min(missing)}, for one); "
            "give a model of its kind, whole."
        )


def load_processor(kind: Any, weights: Weights, tool: str) -> Any:
    """Load what prepares pictures or words for a transformers model: `kind.from_pretrained`; raises WeightsError."""
    with explain(weights, tool):
        return kind.from_pretrained(weights.path, local_files_only=True)


class TransformersTool:
    """A tool that one transformers model plays, with what prepares pictures and words for it; a subclass does the work.

    Attributes:
        settings: what a recipe may say of it.
    """

    settings: ClassVar[tuple[str, ...]] = ("model", "revision", "device", "dtype")

    def __init__(self, model: Any, processor: Any, card: ToolCard) -> None:
        self.model, self.processor, self.card = model, processor, card

    @classmethod
    def load(cls, choice: ToolChoice, own: str | None, kind: Any, processor: Any, **facts: Any) -> Self:
        """Load it.

        Args:
            choice: what the recipe says.
            own: the tool's own model, see `find_weights`.
            kind: class of the model.
            processor: class of the processor.
            facts: what else goes onto the card.

        Raises:
            UsageError: a setting that it does not read, or no model is named.
            WeightsError: as `find_weights` and `load_model`.
        """
        choice.check_settings(*cls.settings)
        weights = find_weights(choice, own)
        model = load_model(kind, weights, choice)
        card = ToolCard(choice.name, name_versions("transformers", "torch"), {**weights.facts, **name_place(model), **facts})
        return cls(model, load_processor(processor, weights, choice.name), card)


def load_pipeline(kind: str, transformer: str, weights: Weights, choice: ToolChoice, **parts: Any) -> Any:
    """Load a diffusers pipeline.

    Args:
        kind: name of its class.
        transformer: name of the class of its transformer, since diffusers takes parts of other pipelines too.
        weights: its files.
        choice: says device and dtype; bfloat16 on GPUs and float32 elsewhere where it does not.
        parts: components that are not taken from the files.

    Raises:
        Step1XError: diffusers is not installed.
        WeightsError: the files are of another pipeline, damaged, or not all there.
    """
    diffusers = import_diffusers(choice.name)
    device, dtype = choose_place(choice)
    with explain(weights, choice.name):
        pipeline = getattr(diffusers, kind).from_pretrained(
            weights.path, dtype=dtype, local_files_only=True, use_safetensors=True, **lean(), **parts
        )
    if type(pipeline.transformer).__name__ != transformer:
        found = type(pipeline.transformer).__name__
        raise WeightsError(
            f"{weights.facts['model']} cannot be loaded as the tool {choice.name} (it has a {found}); give a model of its kind."
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def lean() -> dict[str, bool]:
    """How diffusers is told to load with little memory where it can, which needs the library accelerate."""
    from diffusers.utils import is_accelerate_available

    return {"low_cpu_mem_usage": is_accelerate_available()}


def choose_place(choice: ToolChoice) -> tuple[torch.device, torch.dtype]:
    """Device and dtype of a diffusion model."""
    from step1x_edit.devices import choose_device, choose_dtype

    device = choose_device(choice.device)
    return device, choose_dtype(choice.dtype or ("float32" if device.type == "cpu" else None), device)


def import_diffusers(tool: str) -> Any:
    """The library; raises Step1XError where it is missing."""
    try:
        import diffusers
    except ImportError as error:
        raise Step1XError(f'The tool {tool} needs the library diffusers; pip install "step1x-edit[pipeline]".') from error
    return diffusers


def name_versions(*libraries: str) -> str:
    """Versions of the libraries that run a model, for its card."""
    from importlib.metadata import version

    return ", ".join(f"{library} {version(library)}" for library in libraries)


def name_place(model: Any) -> dict[str, str]:
    """Kind of device and dtype of a model, for its card: another kind gives other last bits."""
    return {"device": model.device.type, "dtype": str(model.dtype).removeprefix("torch.")}
