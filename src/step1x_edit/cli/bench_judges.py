"""Judges for `step1x bench score`: opened by name, and put to work on result folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from step1x_edit.cli.bench_options import read_key
from step1x_edit.cli.libraries import loading
from step1x_edit.cli.progress import progress_line
from step1x_edit.errors import UsageError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image

    from step1x_edit.bench.calls import Limits, Prices
    from step1x_edit.bench.gedit import BenchCase
    from step1x_edit.bench.judges.judge import Judge
    from step1x_edit.bench.judges.rubric import Rubric

KINDS = ("openai", "endpoint", "local")


def judge_systems(
    judge: Judge,
    rubric: Rubric,
    questions: Sequence[BenchCase],
    systems: Mapping[str, Path],
    limits: Limits,
    prices: Prices,
    repeats: int,
    swap: bool,
) -> None:
    """Have the results of every system judged, given their folders by name, and say how far it came."""
    from step1x_edit.bench.judges.judging import judge_results, open_purse

    purse = open_purse(judge, systems.values(), limits, prices)
    for system, folder in systems.items():
        with progress_line(f"{judge.name} on {system}") as tell:
            judged = judge_results(
                judge,
                rubric,
                questions,
                folder,
                limits=limits,
                purse=purse,
                repeats=repeats,
                swap=swap,
                progress=lambda s: tell(s.answered, s.total, f"{s.failed} failed, {s.spent:.2f} dollars"),
            )
        typer.echo(
            f"{system}: {judged.state.answered} of {judged.state.total} questions answered, {judged.state.spent:.4f} dollars.", err=True
        )
        if judged.ended:
            typer.echo(f"{system}: {judged.ended} The same command with a larger --budget goes on.", err=True)


def open_judge(name: str, url: str | None, timeout: float, options: Mapping[str, Any]) -> Judge:
    """A judge by name.

    Raises:
        UsageError: there is no such judge, or it needs something that is missing.
    """
    kind, _, model = name.partition(":")
    if kind not in KINDS or not model:
        raise UsageError(f"There is no judge {name!r}; choose from openai:MODEL, endpoint:MODEL, local:FOLDER and reference.")
    if kind == "local":
        if options:
            raise UsageError(f"A judge in this process takes no options; leave out --option {next(iter(options))}.")
        return open_local(Path(model))
    from step1x_edit.bench.judges.openai_chat import ChatJudge

    if kind == "endpoint" and not url:
        raise UsageError("The judge endpoint needs the service's address; give --url, ending in /v1 with most services.")
    return ChatJudge(model, url, read_key(name), timeout, options)


def open_local(folder: Path) -> Judge:
    """A Qwen2.5-VL in a folder."""
    from step1x_edit.bench.judges.local import LocalJudge
    from step1x_edit.bench.systems.system import name_folder
    from step1x_edit.model.fingerprint import fingerprint_files

    speaker = Qwen(folder)
    facts = {"folder": str(folder), "fingerprint": fingerprint_files(sorted(folder.glob("*.safetensors")))}
    return LocalJudge(name_folder(folder.name), speaker, {**facts, "device": str(speaker.model.device)})


class Qwen:
    """A Qwen2.5-VL that answers in words."""

    def __init__(self, folder: Path) -> None:
        with loading():
            import torch
            from transformers import Qwen2_5_VLForConditionalGeneration

            from step1x_edit.devices import choose_device
            from step1x_edit.model.mllm import Processor

        place = choose_device(None)
        try:
            model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32 if place.type == "cpu" else torch.bfloat16
            )
            self.processor = Processor.open(folder)
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"The judge in {folder} cannot be loaded ({first_line(error)}).") from error
        self.model: Any = model.eval().to(place)  # type: ignore[arg-type]  # typed as if it took the model twice

    def speak(self, pictures: Sequence[Image], text: str, most_tokens: int) -> tuple[str, int, int]:
        """See `bench.judges.local.Speaker`."""
        import torch

        content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": text}]
        turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
        message = self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        inputs = dict(self.processor(text=[message], images=list(pictures), return_tensors="pt"))
        inputs = {key: value.to(self.model.device) for key, value in inputs.items()}
        with torch.inference_mode():
            made = self.model.generate(**inputs, max_new_tokens=most_tokens, do_sample=False)
        given = inputs["input_ids"].shape[1]
        return self.processor.tokenizer.decode(made[0, given:], skip_special_tokens=True), given, made.shape[1] - given
