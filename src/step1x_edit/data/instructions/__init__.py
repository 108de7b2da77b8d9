"""Instructions in English and Chinese, generated together from the same facts: the tables and the grammar."""

from step1x_edit.data.instructions import film, local, objects, style, tone
from step1x_edit.data.instructions.grammar import Clauses, list_wordings, phrase

__all__ = ["CLAUSES", "Clauses", "list_wordings", "phrase"]

CLAUSES: dict[str, Clauses] = {**tone.CLAUSES, **style.CLAUSES, **local.CLAUSES, **objects.CLAUSES, **film.CLAUSES}
"""Families of clauses by the name that a `Request` gives."""
