"""Every role has an offline tool that is named in its card, and a wrong choice is refused in one sentence."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing

import pytest

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.toolbox import ROLES, Toolbox
from step1x_edit.errors import UsageError


@pytest.mark.parametrize("role", list(ROLES))
def test_the_first_of_each_role_works_offline(role: str) -> None:
    tools = Toolbox.offline()
    card = tools.card(role)
    assert card.version
    json.dumps(dataclasses.asdict(card))
    assert getattr(tools, role) is getattr(tools, role)
    with pytest.raises(UsageError, match="takes no model"):
        getattr(Toolbox({role: ToolChoice(next(iter(ROLES[role])), model="somewhere")}), role)


def test_unknown_roles_and_tools_are_refused() -> None:
    with pytest.raises(UsageError, match="no tool role 'segmentor'"):
        Toolbox({"segmentor": ToolChoice("grabcut")})
    with pytest.raises(UsageError, match="no segmenter 'magic'; use grabcut"):
        Toolbox({"segmenter": ToolChoice("magic")})


def test_what_took_part_is_described() -> None:
    described = Toolbox.offline().describe("segmenter", "flow")
    assert list(described) == ["segmenter", "flow"]
    assert described["segmenter"]["name"] == "grabcut"
    assert "opencv" in described["flow"]["version"]


def test_a_toolbox_travels_to_another_process_without_its_tools() -> None:
    tools = Toolbox({"depth": ToolChoice("cues")})
    assert tools.depth.card.name == "cues"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_opened, (tools,)) == ["choices"]


def _opened(tools: Toolbox) -> list[str]:
    return sorted(vars(tools))
