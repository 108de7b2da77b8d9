"""What the routes work with: the settings, the engine, who may come in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from step1x_edit.serve.addresses import Reader
from step1x_edit.serve.engine import Engine
from step1x_edit.serve.keys import Keys
from step1x_edit.serve.limits import Settings
from step1x_edit.serve.messages import Ready
from step1x_edit.serve.metrics import Metrics
from step1x_edit.serve.orders import Clerk
from step1x_edit.serve.refusals import Refusal
from step1x_edit.serve.uploads import Budget
from step1x_edit.web import host_name

ANYBODY = "anybody"
"""The owner of all requests where there are no keys."""


class Service:
    """One server's parts.

    Args:
        settings: of the server.
        gave_up: called with a sentence when the model cannot be loaded.

    Raises:
        UsageError: the file of keys cannot be read.
    """

    def __init__(self, settings: Settings, gave_up: Callable[[str], None] = lambda sentence: None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.engine = Engine(settings, self.metrics, gave_up)
        held = settings.limits.held_bytes
        each = held if settings.keys is None else max(settings.limits.bytes, held // 2)
        self.budget = Budget(settings.limits, self.metrics, each)
        self.names = (settings.openings[0].model, *settings.names)
        results = min(settings.limits.results, settings.places, settings.places_each)  # more could never find room
        reader = Reader(settings.url_hosts)
        self.clerk = Clerk(replace(settings.limits, results=results), self.names, reader, self.engine.number)
        self.started = int(time.time())
        self._hosts = None if settings.hosts is None else {host_name(host) for host in settings.hosts}
        self._origins = {origin.lower() for origin in settings.origins}
        self._keys = None if settings.keys is None else Keys(settings.keys)

    def require_model(self) -> Ready:
        """What the model can.

        Raises:
            Refusal: it is not loaded yet.
        """
        if self.engine.model is None:
            raise Refusal("The model is being loaded; try again in a little while.", 503, "not_ready", None, 5.0)
        return self.engine.model

    def authorise(self, headers: Mapping[str, str], key: str | None) -> str:
        """Whose request it is.

        Without keys, whoever reaches the server may use it. Then pages of other sites must not reach it through a visitor's browser:
        neither under a name of their own that leads here, nor across sites, but for the sites that the owner names.

        Raises:
            Refusal: it is nobody's who may come in.
        """
        if self._keys is not None:
            owner = self._keys.find(key) if key else None
            if owner is None:
                wrong = "is unknown" if key else "is missing"
                raise Refusal(f"The API key {wrong}; send one as Authorization: Bearer sk-step1x-...", 401, "invalid_api_key")
            return owner
        name, origin = host_name(headers.get("host", "")), headers.get("origin")
        across = headers.get("sec-fetch-site", "none") == "cross-site"
        foreign = across or (origin is not None and host_name(origin.partition("://")[2]) not in {name, *(self._hosts or ())})
        if foreign and origin not in self._origins:
            raise Refusal("Pages of other sites may not use this server.", 403, "cross_site")
        if self._hosts is not None and name not in self._hosts:
            raise Refusal("The server is not addressed under this name; see --allow-host.", 403, "unknown_host")
        return ANYBODY
