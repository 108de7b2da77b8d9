"""Published networks in ONNX through onnxruntime: for those whose only other form is code from a repository, or needs torchvision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import ToolCard
from step1x_edit.data.tools.weights import find_weights, name_versions
from step1x_edit.data.triplet import Floats
from step1x_edit.errors import Step1XError, UsageError, WeightsError, first_line

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxModel:
    """A network with float32 inputs of one size, and float32 outputs.

    Attributes:
        inputs: names and shapes of the inputs, in their order; what the file leaves open is 0.
        card: what is written down of the tool that it plays.
    """

    def __init__(self, choice: ToolChoice, model: str, file: str) -> None:
        """Load it; `model` is the tool's own repository, and `file` the network's name in it.

        Raises:
            UsageError: a setting that it does not read, or a device that onnxruntime cannot use here.
            Step1XError: onnxruntime is missing.
            WeightsError: the file is missing or is no network.
        """
        choice.check_settings("model", "revision", "device")
        weights = find_weights(choice, model, (file,) if choice.model is None else (file, "*.onnx", "onnx/model.onnx"))
        path = _choose_file(weights.path, file)
        self._session = _open(path, choice)
        self.inputs = {node.name: tuple(side if isinstance(side, int) else 0 for side in node.shape) for node in self._session.get_inputs()}
        self._name = weights.facts["model"]
        facts = {**weights.facts, "device": "cpu" if choice.device in (None, "cpu") else "cuda"}
        self.card = ToolCard(choice.name, name_versions("onnxruntime"), facts)

    def check_inputs(self, count: int) -> None:
        """Refuse a network that takes another number of inputs; raises WeightsError."""
        if len(self.inputs) != count:
            raise WeightsError(f"{self._name} takes {len(self.inputs)} inputs, not {count}; it is another network than {self.card.name}.")

    def size(self, default: tuple[int, int]) -> tuple[int, int]:
        """Height and width of its pictures; `default` where the file leaves them open."""
        shape = next(iter(self.inputs.values()))
        height, width = shape[-2:] if len(shape) == 4 else (0, 0)
        return height or default[0], width or default[1]

    def run(self, values: Mapping[str, Floats]) -> list[Floats]:
        """All outputs for the named inputs, in their order; raises WeightsError where the shapes do not fit the network."""
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

        try:
            return [*self._session.run(None, dict(values))]
        except (Fail, InvalidArgument, RuntimeException) as error:
            raise WeightsError(
                f"{self._name} does not take what {self.card.name} gives it ({first_line(error)}); give its published file."
            ) from error


class OnnxTool:
    """A tool that one network plays; a subclass names the network's repository and file, how many inputs it takes, and does the work."""

    model: ClassVar[str]
    file: ClassVar[str]
    inputs: ClassVar[int]

    def __init__(self, network: OnnxModel) -> None:
        """Take a network; raises WeightsError where it takes another number of inputs."""
        network.check_inputs(self.inputs)
        self._network = network

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        """Load the network; raises as `OnnxModel` does."""
        return cls(OnnxModel(choice, cls.model, cls.file))

    @property
    def card(self) -> ToolCard:
        """What is written down of it."""
        return self._network.card


def _choose_file(path: Path, file: str) -> Path:
    """The network's file: itself, of that name in the folder, or the only one there."""
    if path.is_file():
        return path
    if (path / file).is_file():
        return path / file
    found = sorted(path.glob("**/*.onnx"))
    if len(found) != 1:
        raise UsageError(f"{path} holds {len(found)} ONNX files; give the path of one.")
    return found[0]


def _open(path: Path, choice: ToolChoice) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise Step1XError(f'The tool {choice.name} needs the library onnxruntime; pip install "step1x-edit[data]".') from error
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf, NotImplemented

    providers = choose_providers(choice.device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # so that many workers share a machine, and answers do not vary
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except (Fail, InvalidGraph, InvalidProtobuf, NotImplemented, RuntimeError) as error:
        raise WeightsError(f"{path} is no network that onnxruntime can run; give the published ONNX file.") from error


def choose_providers(device: str | None, available: Sequence[str]) -> list[str | tuple[str, dict[str, int]]]:
    """What onnxruntime is to compute with, best first.

    Args:
        device: cpu, cuda or cuda:N; None for the CPU.
        available: what onnxruntime has here.

    Raises:
        UsageError: it has none for that device.
    """
    kind, _, number = (device or "cpu").partition(":")
    if kind == "cpu":
        return [_CPU]
    if kind != "cuda" or _CUDA not in available or not (number or "0").isdecimal():
        raise UsageError(f"onnxruntime cannot use {device} here; install onnxruntime-gpu and give cuda or cuda:N, or leave the device out.")
    return [(_CUDA, {"device_id": int(number or 0)}), _CPU]
