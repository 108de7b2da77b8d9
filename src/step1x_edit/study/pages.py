"""Turn templates into pages, and hold the style sheet and scripts that they ask for."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from step1x_edit.study.answers import LETTERS, SKIP_REASONS
from step1x_edit.study.protection import make_form_token
from step1x_edit.study.store import RATINGS, Study
from step1x_edit.study.texts import HTML_LANGUAGE, LANGUAGES, TEXTS

MINUTES_PER_SCREEN = 0.75
STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Asset:
    """A static file, ready to be sent."""

    data: bytes
    kind: str


class Pages:
    """The study's pages.

    Args:
        study: whose title and contact they show.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self.assets: dict[str, Asset] = {}
        names = {}
        for file in sorted(STATIC.iterdir()):
            data = file.read_bytes()
            names[file.name] = f"{file.stem}-{hashlib.sha256(data).hexdigest()[:12]}{file.suffix}"
            self.assets[names[file.name]] = Asset(data, mimetypes.guess_type(file.name)[0] or "application/octet-stream")
        self._environment = Environment(
            loader=PackageLoader("step1x_edit.study"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {
            "asset": lambda name: f"/static/{names[name]}",
            "languages": LANGUAGES,
            "letters": LETTERS,
            "ratings": RATINGS,
            "skip_reasons": SKIP_REASONS,
            "html_languages": HTML_LANGUAGE,
            "blank_answer": self._blank_answer,
        }
        self._blank: dict[tuple[str, str, int], Markup] = {}

    def render(self, name: str, language: str, session: str, **values: Any) -> str:
        """A page as HTML.

        Args:
            name: of the template.
            language: of the page, one of `LANGUAGES`.
            session: what its forms are tied to.
            values: what else the template needs.
        """
        return self._environment.get_template(name).render(
            t=_translate(language),
            language=language,
            study_title=self._study.title,
            contact=self._study.contact,
            token=Markup('<input type="hidden" name="form_token" value="{}">').format(make_form_token(self._study.form_key, session)),
            minutes_per_screen=MINUTES_PER_SCREEN,
            **values,
        )

    def _blank_answer(self, language: str, letter: str, count: int) -> Markup:
        """What a person fills in about one result, still empty; the same on every page, so drawn once."""
        if (language, letter, count) not in self._blank:
            html = self._environment.get_template("answer.html").render(t=_translate(language), letter=letter, count=count, form={})
            self._blank[language, letter, count] = Markup(html)
        return self._blank[language, letter, count]


def _translate(language: str) -> Callable[..., str]:
    texts = TEXTS[language]

    def translate(key: str, **values: object) -> str:
        return texts[key].format(**values) if values else texts[key]

    return translate
