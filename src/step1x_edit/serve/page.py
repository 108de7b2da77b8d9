"""The page of `step1x ui`: drop a picture, say what to change, watch it happen, compare, go on from the result.

What it works on is in `session.py`; here is how it looks. It asks nothing of the internet: no fonts,
no analytics, no scripts from elsewhere.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from PIL import Image

from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.image_io import read_image
from step1x_edit.serve.page_access import CURRENT, make_script
from step1x_edit.serve.page_guard import guard, uploaded
from step1x_edit.serve.page_style import STYLE, THEME
from step1x_edit.serve.session import Desk, Session, Shelf, Step, Stopped, ask, make_viewable, read_mask, reduce

IDEAS = (
    "make it night",
    "make it look like a warm sunset",
    "make it black and white",
    "turn it into a pencil sketch",
    "make it look like winter",
    "apply an old photo look",
    "把它变成黑白照片",
)
"""Instructions to begin with; the embedded model is good at these."""

MOST_SHOWN = 160
"""Characters of an instruction that are repeated below its result."""

LARGEST_UPLOAD = "64mb"
CANVAS = 640
"""Longest side in pixels of the picture that a mask is painted on."""

INTO_VIEW = "() => { document.querySelector('#compare')?.scrollIntoView({ behavior: 'smooth', block: 'nearest' }); }"
"""On a phone the result is below what was typed."""

OWN_KEY = """(_, first) => {
  const chance = () => Array.from(crypto.getRandomValues(new Uint8Array(24)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    const key = sessionStorage.getItem("step1x-edit") ?? chance();
    sessionStorage.setItem("step1x-edit", key);
    return [key, first];
  } catch {
    return [chance(), first];  // a browser that keeps nothing
  }
}"""
"""What a tab is told from others by, also after its page was loaded again."""

MASK_HELP = "Paint over the part that may change. Nothing outside it changes by a single level. Without paint, all of the picture may."


Shown = dict[Any, Any]
"""Components of the page, and what they are to be."""


class Running(threading.Event):
    """A person's edit that goes on: set when it is to stop, `left` where the person goes on from something else and wants no result."""

    left = False


class Page:
    """The components, and what happens when they are used. What an event does not speak of stays as it is."""

    def __init__(self, desk: Desk, photos: Sequence[Path] = ()) -> None:
        self.desk = desk
        self.shelf = Shelf()
        self.running: dict[str, Running] = {}  # by the session of the page whose edit goes on
        self.settings: dict[str, gr.components.Component] = {}  # by the names of `EditRequest`
        preset = desk.editor.preset
        with gr.Blocks(title="Step1X-Edit", analytics_enabled=False, delete_cache=(3600, 86400)) as self.blocks:
            self.session = gr.State(Session())
            self.key = gr.Textbox(visible=False)
            gr.Markdown(
                f"# Step1X-Edit\nSay what to change, in English or Chinese. Model: **{preset.name}**. Your pictures stay on this machine.",
                elem_id="title",
            )
            with gr.Row(equal_height=False, elem_id="work"):
                with gr.Column(scale=4, min_width=320):
                    self.upload = gr.Image(
                        label="Picture", type="filepath", sources=["upload", "clipboard"], height=260, elem_id="upload", buttons=[]
                    )
                    self.instruction = gr.Textbox(
                        label="What to change", placeholder="make it night", lines=1, max_lines=4, elem_id="instruction"
                    )
                    with gr.Row():
                        self.go = gr.Button("Edit", variant="primary", elem_id="go")
                        self.stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
                    self.ideas = gr.Dataset(
                        components=[gr.Textbox(visible=False)],
                        samples=[[idea] for idea in IDEAS],
                        label="Ideas",
                        elem_id="ideas",
                        samples_per_page=len(IDEAS),
                        type="values",
                    )
                with gr.Column(scale=6, min_width=320):
                    self.compare = gr.ImageSlider(
                        label="Before and after",
                        interactive=False,
                        max_height=560,
                        format="webp",
                        elem_id="compare",
                        buttons=["fullscreen"],
                    )
                    self.status = gr.Markdown("", latex_delimiters=[], elem_id="status")
                    with gr.Row():
                        self.undo = gr.Button("Undo", interactive=False, elem_id="undo", min_width=90)
                        self.over = gr.Button("Start over", interactive=False, elem_id="over", min_width=90)
                        self.download = gr.DownloadButton(
                            "Download", interactive=False, elem_id="download", variant="secondary", min_width=110
                        )
                    self.first = gr.Checkbox(False, label="Compare with the start", elem_id="first", container=False)
                    self.turns = gr.Gallery(
                        show_label=False,
                        columns=6,
                        height=130,
                        fit_columns=False,
                        object_fit="contain",
                        visible=False,
                        allow_preview=False,
                        interactive=False,
                        elem_id="turns",
                        format="webp",
                        buttons=[],
                    )
            self.photos = self._add_photos(photos)
            with gr.Row(equal_height=False, elem_id="folds"):
                with gr.Accordion("Only a part of it: paint a mask", open=False, elem_id="mask-fold"):
                    gr.Markdown(MASK_HELP)
                    self.canvas = gr.ImageEditor(
                        show_label=False,
                        type="pil",
                        sources=[],
                        transforms=[],
                        layers=False,
                        brush=gr.Brush(colors=["#14b8a6"], color_mode="fixed", default_size=40),
                        format="png",
                        canvas_size=(CANVAS, CANVAS),
                        elem_id="canvas",
                    )
                    with gr.Row():
                        self.settings["zoom"] = gr.Checkbox(
                            False, label="Look closer", info="The model sees this part alone, and draws it larger", elem_id="zoom"
                        )
                        self.settings["feather"] = gr.Slider(
                            0, 64, 0, step=1, label="Soft edge", info="Pixels, inside the mask", elem_id="feather"
                        )
                with gr.Accordion("Advanced", open=False, elem_id="advanced"):
                    with gr.Row():
                        self.settings["seed"] = gr.Number(0, label="Seed", info="Another seed, another result", precision=0, elem_id="seed")
                        self.settings["steps"] = gr.Slider(
                            1, 60, preset.steps, step=1, label="Steps", elem_id="steps", info=f"{preset.steps} is the model's own"
                        )
                    with gr.Row():
                        self.settings["guidance"] = gr.Slider(
                            0, 15, preset.guidance, step=0.1, label="Guidance", info=f"{preset.guidance:g} is the model's own"
                        )
                        self.settings["strength"] = gr.Slider(
                            0.05, 1, 1, step=0.05, label="Strength", info="Under 1 keeps more of the picture"
                        )
                    with gr.Row():
                        self.settings["size"] = gr.Slider(
                            64, 2048, preset.size, step=16, label="Working size", elem_id="size", info=f"{preset.size} is the model's own"
                        )
                        self.settings["negative"] = gr.Textbox(label="Lead away from", placeholder="with guidance above 1")
            self._connect()

    def _add_photos(self, photos: Sequence[Path]) -> gr.Dataset | None:
        if not photos:
            return None
        return gr.Dataset(
            components=[gr.Image(type="filepath", visible=False)],
            samples=[[str(path)] for path in photos],
            label="No picture at hand? Take one of these",
            elem_id="photos",
            samples_per_page=len(photos),
            type="values",
        )

    def _connect(self) -> None:
        shown = [self.session, self.compare, self.turns, self.status, self.undo, self.over, self.download, self.canvas]
        begun = [self.upload, *shown]
        self.blocks.load(self._recall, [self.key, self.first], [self.key, *begun], js=OWN_KEY, show_progress="hidden")
        # not `input` nor `upload`: these are told of a file that is dropped over a picture before its path is there
        chosen = self.upload.change(
            self._begin,
            [self.upload, self.session, self.first],
            begun,
            preprocess=False,  # gradio would open the file itself, and fail without a sentence
            show_progress="hidden",
        )
        if self.photos is not None:
            self.photos.click(lambda row: row[0], [self.photos], [self.upload], show_progress="hidden")
        self.ideas.click(lambda row: row[0], [self.ideas], [self.instruction], show_progress="hidden")
        edited = gr.on(
            [self.go.click, self.instruction.submit],
            self._edit,
            [self.session, self.instruction, self.canvas, self.first, *self.settings.values()],
            [*shown, self.go, self.stop, self.first],
            show_progress="hidden",
            trigger_mode="once",
        )
        gr.on([self.go.click, self.instruction.submit], None, js=INTO_VIEW)
        # not `cancels`: a step that is on its way would be shown after the edit has ended
        self.stop.click(self._stop, None, [self.stop], show_progress="hidden")
        undone = self.undo.click(self._undo, [self.session, self.first], shown, show_progress="hidden")
        begun_anew = self.over.click(self._start_over, [self.session, self.first], shown, show_progress="hidden")
        gone_back = self.turns.select(self._choose, [self.session, self.first], shown, show_progress="hidden")
        self.first.input(self._compare, [self.session, self.first], [self.compare], show_progress="hidden")
        for changed in (chosen, edited, undone, begun_anew, gone_back):
            changed.then(self.shelf.put, [self.key, self.session], None, show_progress="hidden")

    def _recall(self, key: str, first: bool) -> Shown:
        """What this tab of a browser worked on before its page was loaded again."""
        session = self.shelf.get(key)
        if not session.turns:
            return {self.key: key}
        there = session.source is not None and session.source.exists()
        return {self.key: key, **({self.upload: str(session.source)} if there else {}), **self._show(session, first)}

    def _begin(self, person: gr.Request, upload: dict[str, Any] | None, session: Session, first: bool) -> Shown:
        """Work on another picture; where it cannot be read, go on with the one before. What is dropped over a picture comes after none."""
        try:
            path = uploaded(self.upload, upload)
        except UsageError as error:
            raise gr.Error(str(error), print_exception=False) from error
        if path is not None and path == session.source:  # as it was put back
            return {self.status: gr.skip()}
        self._leave(person)
        if path is None:
            return self._show(session.set_aside(), first)
        try:
            picture = read_image(path)
            view = make_viewable(path, picture.image)
        except Step1XError as error:
            gr.Warning(str(error).replace(str(path), "The file"))
            session = session.take_up()
            return {self.upload: None if session.source is None else str(session.source), **self._show(session, first)}
        session = Session.begin(picture.image, view, picture.origin)
        return {**({} if view == path else {self.upload: str(view)}), **self._show(session, first, " ".join(picture.notes))}

    def _choose(self, person: gr.Request, event: gr.SelectData, session: Session, first: bool) -> Shown:
        self._leave(person)
        return self._show(session.go_to(int(event.index)), first)

    def _undo(self, person: gr.Request, session: Session, first: bool) -> Shown:
        self._leave(person)
        return self._show(session.undo(), first)

    def _start_over(self, person: gr.Request, session: Session, first: bool) -> Shown:
        self._leave(person)
        return self._show(session.go_to(0), first)

    def _leave(self, person: gr.Request) -> None:
        """Let the person's edit, if one goes on, end without a word: what is shown now is not what it was asked of."""
        if running := self.running.get(str(person.session_hash)):
            running.left = True
            running.set()

    def _edit(
        self, person: gr.Request, session: Session, instruction: str, canvas: dict[str, Any] | None, first: bool, *settings: Any
    ) -> Iterator[Shown]:
        off, on = gr.update(interactive=False), gr.update(interactive=True)
        busy = {self.go: off, self.first: off, self.stop: gr.update(visible=True, interactive=True)}
        idle = {self.go: on, self.first: on, self.stop: gr.update(visible=False)}
        running = self.running[str(person.session_hash)] = Running()
        try:
            mask = read_mask((canvas or {}).get("layers") or [], session.present.image.size) if session.turns else None
            request = ask(session, instruction, mask, dict(zip(self.settings, settings, strict=True)))
            waits = "Waiting for an edit that was asked for before …"
            yield {self.status: waits if self.desk.busy else "Reading the picture and the instruction …", **busy}
            shown = session.present.shown
            for step in self.desk.work(session, request, running):
                if running.left:
                    raise Stopped
                if isinstance(step, Step):
                    drawn = step.picture.resize(shown.size, Image.Resampling.BICUBIC)
                    words = f"Step {step.done} of {step.total}, {step.seconds:.1f} s"
                    yield {self.status: words, self.compare: (shown, drawn)}
                else:
                    yield {**self._show(step, first), **idle}
        except Stopped:
            yield idle if running.left else {self.status: "Stopped.", **self._compare(session, first), **idle}  # the paint stays
        except Step1XError as error:
            yield {self.status: _plain(_describe(session)), **self._compare(session, first), **idle}
            raise gr.Error(str(error), title="That did not work", print_exception=False) from error
        finally:
            self.running.pop(str(person.session_hash), None)

    def _stop(self, person: gr.Request) -> Any:
        """Ask the person's edit to end at its next step; it says itself that it has."""
        if running := self.running.get(str(person.session_hash)):
            running.set()
        return gr.update(interactive=False)

    def _compare(self, session: Session, first: bool) -> Shown:
        """The present picture beside the one at the start, or the one before it."""
        if not session.turns:
            return {self.compare: None}
        before = session.turns[0] if first else session.before
        return {self.compare: (before.shown, session.present.shown)}

    def _show(self, session: Session, first: bool, words: str = "") -> Shown:
        """All of a session; what was painted goes."""
        if not session.turns:
            off = gr.update(interactive=False)
            return {
                self.session: session,
                **self._compare(session, first),
                self.turns: gr.update(value=[], visible=False),
                self.status: words,
                self.undo: off,
                self.over: off,
                self.download: gr.update(value=None, interactive=False),
                self.canvas: None,
            }
        present, file = session.present, session.present.file
        turns = [(reduce(turn.image, 256), (CURRENT if turn is present else "") + turn.words) for turn in session.turns]
        further = gr.update(interactive=session.at > 0)
        return {
            self.session: session,
            **self._compare(session, first),
            self.turns: gr.update(value=turns, visible=len(turns) > 1),
            self.status: _plain(words or _describe(session)),
            self.undo: further,
            self.over: further,
            self.download: gr.update(value=None if file is None else str(file), interactive=file is not None),
            self.canvas: {"background": reduce(present.image, CANVAS), "layers": [], "composite": None},
        }


def create_page(desk: Desk, photos: Sequence[Path] = (), hosts: Sequence[str] | None = None, further: Sequence[str] = ()) -> FastAPI:
    """The page as an application; `photos` are offered as examples, and the names are as for `guard`."""
    page = Page(desk, photos)
    page.blocks.queue(default_concurrency_limit=8, max_size=64)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    guard(page.blocks, app, hosts, further)
    return gr.mount_gradio_app(
        app,
        page.blocks,
        path="/",
        theme=THEME,
        css=STYLE,
        js=make_script(photos),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        max_file_size=LARGEST_UPLOAD,
        allowed_paths=[str(desk.folder), *(str(path) for path in photos)],
        show_error=True,
        enable_monitoring=False,
    )


def _describe(session: Session) -> str:
    """What is looked at, and what may be done next; nothing where there is no picture."""
    if not session.turns:
        return ""
    present, later = session.present, session.at < len(session.turns) - 1
    if session.at == 0:
        return "Now say what to change; the pictures made before stay until then." if later else "Now say what to change."
    size = f"{present.image.width} × {present.image.height} pixels"
    words = present.words if len(present.words) <= MOST_SHOWN else f"{present.words[:MOST_SHOWN]}…"
    next_step = "The next instruction goes on from here, " + (
        "in place of the later pictures." if later else "or from an earlier picture that you choose."
    )
    return " ".join([f"“{words}”, {size}.", *present.notes, next_step])


def _plain(words: str) -> str:
    """Text as Markdown that shows it as it is. A picture's profile may be named like a link, which the browser would follow."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(words.split()))
