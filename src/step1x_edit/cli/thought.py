"""`step1x edit --think`: the loop of thinking and reflection, every try of it written and said."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from step1x_edit.editor import Editor
    from step1x_edit.thinking import Thinker, Try
    from step1x_edit.types import EditRequest, EditResult


@dataclass(frozen=True)
class Thought:
    """How the loop is to go: a server's address and model, or none for the MLLM itself, and the most tries."""

    server: str | None
    server_model: str | None
    tries: int

    def thinker(self, editor: Editor) -> Thinker:
        """Who thinks; the server's key is read from STEP1X_THINKER_KEY."""
        if self.server is None:
            from step1x_edit.thinking import LocalThinker

            return LocalThinker(editor)
        from step1x_edit.endpoint import EndpointThinker

        if not self.server_model:
            raise UsageError("Name the model that the server is to use with --thinker-model.")
        return EndpointThinker(self.server, self.server_model, os.environ.get("STEP1X_THINKER_KEY", "").strip())

    def names(self, target: Path) -> list[Path]:
        """Where the tries go, beside the target: NAME-try-1 and so on."""
        return [target.with_name(f"{target.stem}-try-{i + 1}{target.suffix}") for i in range(self.tries)]

    def run(
        self,
        editor: Editor,
        request: EditRequest,
        target: Path,
        write: Callable[[EditResult, Path], None],
        advance: Callable[[int, int], None],
    ) -> EditResult:
        """Write each try under its name and say what was thought of it; returns the best."""
        from step1x_edit.thinking import best_of, edit_thinking

        done: list[Try] = []
        for each in edit_thinking(editor, request, self.thinker(editor), tries=self.tries, progress=advance):
            done.append(each)
            write(each.result, self.names(target)[len(done) - 1])
            score = "unscored" if each.score is None else f"{each.score:g} of 100"
            verdict = each.verdict or "no verdict"
            print(f"Try {len(done)}: {verdict}, {score}; told: {_short(each.instruction)}", file=sys.stderr)
            for line in filter(None, (_short(each.thought, 400), each.problem)):
                print(f"  {line}", file=sys.stderr)
        best = best_of(done)
        print(f"Best: try {done.index(best) + 1}", file=sys.stderr)
        return best.result


def _short(text: str, most: int = 200) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else f"{words[: most - 1]}…"
