"""What ComfyUI demands of a node, as its documentation of custom nodes says, checked strictly; and a call as its executor makes it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

TYPES = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
OPTIONS = {
    "INT": {"default", "min", "max", "step", "display", "tooltip", "control_after_generate", "forceInput", "lazy"},
    "FLOAT": {"default", "min", "max", "step", "round", "display", "tooltip", "forceInput", "lazy"},
    "STRING": {"default", "multiline", "placeholder", "dynamicPrompts", "tooltip", "forceInput", "lazy"},
    "BOOLEAN": {"default", "label_on", "label_off", "tooltip", "forceInput", "lazy"},
}


def check_node(node: type) -> None:
    """Names, shapes and defaults of everything that ComfyUI reads of a node."""
    assert isinstance(node.CATEGORY, str) and node.CATEGORY
    returned = node.RETURN_TYPES
    assert isinstance(returned, tuple) and all(isinstance(each, str) and each.isupper() for each in returned)
    assert len(getattr(node, "RETURN_NAMES", returned)) == len(returned)
    assert isinstance(inspect.getattr_static(node, "INPUT_TYPES"), classmethod)
    inputs = node.INPUT_TYPES()
    assert isinstance(inputs, dict) and "required" in inputs and set(inputs) <= {"required", "optional", "hidden"}
    names = [name for group in inputs.values() for name in group]
    assert len(names) == len(set(names)) and all(name.isidentifier() for name in names)
    for group in inputs.values():
        for name, declared in group.items():
            _check_input(name, declared)
    parameters = list(inspect.signature(getattr(node, node.FUNCTION)).parameters.values())[1:]
    assert {each.name for each in parameters} == set(names), "the function takes exactly what is declared"
    without = {each.name for each in parameters if each.default is inspect.Parameter.empty}
    assert without == set(inputs["required"]), "optional inputs have defaults, since ComfyUI leaves them out"


def _check_input(name: str, declared: Any) -> None:
    assert isinstance(declared, tuple) and 1 <= len(declared) <= 2, name
    kind, options = declared[0], (declared[1] if len(declared) == 2 else {})
    assert isinstance(options, dict), name
    if isinstance(kind, list):
        assert kind and options.get("default", kind[0]) in kind, name
        return
    assert isinstance(kind, str) and kind.isupper(), name
    if kind not in TYPES:
        return
    assert set(options) <= OPTIONS[kind] and isinstance(options.get("default"), TYPES[kind]), name
    if kind in ("INT", "FLOAT"):
        assert options["min"] <= options["default"] <= options["max"], name


def run_node(node: type, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Make the node and call it with its widgets' defaults and these inputs; the outputs are of the declared number."""
    declared = node.INPUT_TYPES()
    widgets = {
        name: each[1]["default"] for name, each in declared["required"].items() if len(each) == 2 and "default" in each[1]
    }  # optional inputs that nothing is connected to are not passed
    given = {**widgets, **inputs}
    assert set(declared["required"]) <= set(given) <= {name for group in declared.values() for name in group}
    outputs = getattr(node(), node.FUNCTION)(**given)
    assert isinstance(outputs, tuple) and len(outputs) == len(node.RETURN_TYPES)
    return outputs
