"""How a server behaves: what it accepts, how long it waits, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from step1x_edit.errors import UsageError
from step1x_edit.serve.messages import Opening

NOT_OF_HOSTS = frozenset("/@?# \t\n")
"""Characters that an address has around its host, and a host has not."""


@dataclass(frozen=True)
class Limits:
    """What a request must not exceed, looked at before anything of it is decoded.

    Attributes:
        bytes: of a whole request.
        pixels: of one picture, in and out.
        results: pictures made for one request.
        steps: sampling steps.
        upload_seconds: for a request to arrive.
        send_seconds: for a client to take in what was sent to it.
        seconds: for a request to be answered, waiting included; a request may ask for less.
        held_bytes: of all requests that are arriving, waiting or being worked on.
    """

    bytes: int = 32 * 1024 * 1024
    pixels: int = 50_000_000
    results: int = 10
    steps: int = 100
    upload_seconds: float = 60.0
    send_seconds: float = 60.0
    seconds: float = 600.0
    held_bytes: int = 512 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.held_bytes < self.bytes:
            raise ValueError("one request may be larger than all together")


@dataclass(frozen=True)
class Settings:
    """Of one server.

    Attributes:
        openings: one process each; of the same model.
        limits: see there.
        batch: most pictures in one pass through the model.
        places: pictures that may wait.
        places_each: pictures that one key may have waiting.
        grace: seconds over a batch's deadlines after which its process counts as hung and is replaced.
        keys: file of the API keys; None lets everybody in.
        names: further names under which clients may ask for the model.
        url_hosts: hosts whose addresses are read, exact names or *.domain; none by default.
        hosts: names under which the server may be addressed where there are no keys; None for any.
        origins: sites, as https://photos.example, whose pages may use the server from their visitors' browsers; "*" for all.
    """

    openings: tuple[Opening, ...] = (Opening("mini"),)
    limits: Limits = field(default_factory=Limits)
    batch: int = 8
    places: int = 64
    places_each: int = 32
    grace: float = 30.0
    keys: Path | None = None
    names: tuple[str, ...] = ()
    url_hosts: tuple[str, ...] = ()
    hosts: tuple[str, ...] | None = None
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would never be found.

        Raises:
            UsageError: a host or a site is not written as one, or all sites are let in and there are no keys.
        """
        for host in self.hosts or ():
            if not host or set(host) & NOT_OF_HOSTS or "*" in host:
                raise UsageError(f"{host!r} is not the name of a server; give one as photos.example, without https:// and without a path.")
        for host in self.url_hosts:
            name = host.removeprefix("*.")
            if not name or set(name) & NOT_OF_HOSTS or "*" in name or name.count(":") == 1:
                raise UsageError(f"{host!r} is not a host to read from; give one as photos.example, or *.example for all of a domain.")
        for origin in self.origins:
            kind, mark, host = origin.partition("://")
            sound = kind in ("http", "https") and mark and host and not set(host) & NOT_OF_HOSTS and "*" not in host
            if not (sound or origin == "*"):
                raise UsageError(f"{origin!r} is not a site; give one as https://photos.example, without a path.")
        if "*" in self.origins and self.keys is None:
            raise UsageError("Pages of all sites may use only a server that asks for keys; give a file of keys, or name the sites.")
