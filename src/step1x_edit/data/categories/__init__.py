"""The kinds of edit that can be made with an exact target, one file each."""

from step1x_edit.data.categories import addition, background, colour, removal, style, tone
from step1x_edit.data.categories.category import Category
from step1x_edit.types import EditCategory

__all__ = ["CATEGORIES", "Category"]

CATEGORIES: dict[EditCategory, Category] = {
    EditCategory.SUBJECT_ADDITION: addition.make,
    EditCategory.SUBJECT_REMOVAL: removal.make,
    EditCategory.BACKGROUND_CHANGE: background.make,
    EditCategory.COLOR_ALTERATION: colour.make,
    EditCategory.STYLE_TRANSFER: style.make,
    EditCategory.TONE_TRANSFORMATION: tone.make,
}
