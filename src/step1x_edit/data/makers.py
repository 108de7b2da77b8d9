"""How each kind of edit is made, in both ways: composed of a photograph and cut-outs, or out of what stands in a photograph itself."""

from __future__ import annotations

from typing import NamedTuple

from step1x_edit.data import categories, routes
from step1x_edit.data.categories.category import Category
from step1x_edit.data.routes.route import Route
from step1x_edit.types import EditCategory


class Makers(NamedTuple):
    """The functions behind one kind of edit: `compose` pastes cut-outs, `edit` works on what stands in the photograph."""

    compose: Category
    edit: Route


MAKERS: dict[EditCategory, Makers] = {
    EditCategory.SUBJECT_ADDITION: Makers(categories.addition.make, routes.addition.make),
    EditCategory.SUBJECT_REMOVAL: Makers(categories.removal.make, routes.removal.make),
    EditCategory.SUBJECT_REPLACEMENT: Makers(categories.replacement.make, routes.replacement.make),
    EditCategory.BACKGROUND_CHANGE: Makers(categories.background.make, routes.background.make),
    EditCategory.COLOR_ALTERATION: Makers(categories.colour.make, routes.colour.make),
    EditCategory.MATERIAL_MODIFICATION: Makers(categories.material.make, routes.material.make),
    EditCategory.TEXT_MODIFICATION: Makers(categories.text.make, routes.text.make),
    EditCategory.MOTION_CHANGE: Makers(categories.motion.make, routes.motion.make),
    EditCategory.PORTRAIT_EDITING: Makers(categories.portrait.make, routes.portrait.make),
    EditCategory.STYLE_TRANSFER: Makers(categories.style.make, routes.style.make),
    EditCategory.TONE_TRANSFORMATION: Makers(categories.tone.make, routes.tone.make),
}
