"""Routes from a photograph to an edit of what stands in it, as the paper has them, one file each; `makers.MAKERS` lists them."""

from step1x_edit.data.routes import addition, background, colour, material, motion, portrait, removal, replacement, style, text, tone

__all__ = ["addition", "background", "colour", "material", "motion", "portrait", "removal", "replacement", "style", "text", "tone"]
