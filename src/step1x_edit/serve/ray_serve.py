"""The same application on Ray Serve: as many replicas as there are devices, on one machine or many, behind one address.

    serve run step1x_edit.serve.ray_serve:build model=mini replicas=2 cpus=1
    serve run step1x_edit.serve.ray_serve:build model=v1.1 weights=/models/v1.1 gpus=1 replicas=8 keys=/etc/step1x/keys.json

Each replica is a whole server with a queue, batches and a model's process of its own; Ray starts and replaces them, and shares requests
out among those that have room. Keys are read from a file that every machine has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application

from step1x_edit.serve.app import create_app
from step1x_edit.serve.limits import Settings
from step1x_edit.serve.messages import Opening


class Options(BaseModel):
    """What is written after `build` as name=value."""

    model_config = ConfigDict(extra="forbid")

    model: str = "mini"
    weights: Path | None = None
    dtype: str | None = None
    keys: Path | None = None
    batch: int = Field(8, ge=1)
    waiting: int = Field(64, ge=1)
    replicas: int = Field(1, ge=1)
    cpus: float = Field(1, ge=0, description="Of each replica, for Ray to count.")
    gpus: float = Field(0, ge=0, description="Of each replica; Ray shows each its own.")


def build(options: dict[str, Any]) -> Application:
    """The application for `serve run` and `serve deploy`."""
    chosen = Options.model_validate(options)
    opening = Opening(chosen.model, None if chosen.weights is None else str(chosen.weights), dtype=chosen.dtype)
    each = chosen.waiting if chosen.keys is None else max(1, chosen.waiting // 2)
    settings = Settings((opening,), batch=chosen.batch, places=chosen.waiting, places_each=each, keys=chosen.keys)

    def make() -> FastAPI:
        return create_app(settings)

    class Replica:
        """Ray's handle of one application."""

        def check_health(self) -> None:
            """Nothing beyond that it answers: a model's process that ends is started again by its engine."""

    deploy: Any = serve.deployment(
        name="step1x-edit",
        num_replicas=chosen.replicas,
        # those that wait in the replica, those in the model's hands, and the questions of operators
        max_ongoing_requests=chosen.waiting + 2 * chosen.batch + 16,
        ray_actor_options={"num_cpus": chosen.cpus, "num_gpus": chosen.gpus},
        graceful_shutdown_timeout_s=60,
    )
    application: Application = deploy(serve.ingress(make)(Replica)).bind()
    return application
