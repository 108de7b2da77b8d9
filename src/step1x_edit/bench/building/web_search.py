"""Look-alikes from picture searches on the web. Words go out, never a picture: a caption that was made in this process.

What comes back is fetched and compared here, as `lookalikes.LocalSearch` does it. Searches are told to return what may be published, where
they can be told; whether a picture really may is for the reviewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from step1x_edit.bench.building.clearing import NotCleared, clean_text
from step1x_edit.bench.building.lookalikes import LookAlike, rank
from step1x_edit.bench.building.requests import GAP
from step1x_edit.bench.calls import Limits, Pace, Passing, Refused, call, dig
from step1x_edit.bench.systems.openai_images import sort_out
from step1x_edit.data.duplicates import hash_picture
from step1x_edit.data.tools.protocols import Captioner, SimilarityScorer
from step1x_edit.data.triplet import Pixels
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import read_image
from step1x_edit.image_modes import flatten

LARGEST_FILE = 30_000_000
MOST = 10
"""Pictures that are fetched for one request."""


@dataclass(frozen=True)
class Service:
    """How a search is asked, as data.

    Attributes:
        url: its address.
        words: name of the parameter for the words.
        parameters: what else it is told: pictures, safe ones, free to publish.
        key_header: header for the key, with `{}` in its place; empty where the key is a parameter.
        key_parameter: parameter for the key; empty where it is a header.
        results: name of the list in its answer.
        address: path to a picture's address in each result.
        needs_key: whether it answers nobody without one.
    """

    url: str
    words: str
    parameters: Mapping[str, str]
    key_header: tuple[str, str]
    key_parameter: str
    results: str
    address: tuple[str, ...]
    needs_key: bool = True


SERVICES: dict[str, Service] = {
    "openverse": Service(
        "https://api.openverse.org/v1/images/",
        "q",
        {"license": "cc0,pdm,by", "page_size": "10", "mature": "false"},
        ("Authorization", "Bearer {}"),
        "",
        "results",
        ("url",),
        needs_key=False,
    ),
    "google": Service(
        "https://customsearch.googleapis.com/customsearch/v1",
        "q",
        {"searchType": "image", "safe": "active", "rights": "cc_publicdomain|cc_attribute"},
        ("", ""),
        "key",
        "items",
        ("link",),
    ),
    "serpapi": Service(
        "https://serpapi.com/search.json",
        "q",
        {"engine": "google_images", "safe": "active", "licenses": "cl"},
        ("", ""),
        "api_key",
        "images_results",
        ("original",),
    ),
    "brave": Service(
        "https://api.search.brave.com/res/v1/images/search",
        "q",
        {"safesearch": "strict", "count": "10"},
        ("X-Subscription-Token", "{}"),
        "",
        "results",
        ("properties", "url"),
    ),
}
"""Searches by name. Google also needs the parameter cx, the name of one's own search engine there."""


class WebSearch:
    """A `PictureSearch` by words.

    Args:
        name: one of `SERVICES`.
        captioner: says what a picture shows.
        similarity: compares what was found with the private picture.
        key: of the service.
        parameters: added to the service's own.
        url: address, where it is not the usual one.
        limits: attempts, rate and time-outs.

    Raises:
        UsageError: there is no such service, or it needs a key.
    """

    def __init__(
        self,
        name: str,
        captioner: Captioner,
        similarity: SimilarityScorer,
        key: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        url: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        if name not in SERVICES:
            raise UsageError(f"There is no search {name!r}; choose from {', '.join(SERVICES)}.")
        self._name, self._service = name, SERVICES[name]
        if self._service.needs_key and not key:
            raise UsageError(f"The search {name} needs a key; set STEP1X_SEARCH_KEY.")
        self._captioner, self._similarity, self._key = captioner, similarity, key
        self._parameters = {**self._service.parameters, **(parameters or {})}
        self._url = url or self._service.url
        self._limits = limits or Limits(attempts=4, timeout=30, per_minute=60)
        self._pace = Pace(self._limits.per_minute)

    def find(self, picture: Pixels) -> list[LookAlike]:
        """See `PictureSearch.find`.

        Raises:
            NotCleared: the service will not search for this.
            Step1XError: it cannot be asked at all.
        """
        words = clean_text(self._captioner.caption(picture))[0].replace(GAP, "")
        try:
            addresses, _ = call(lambda: self._search(words), self._limits, self._pace)
        except Refused as error:
            raise NotCleared("the search refused the words") from error
        found = [each for address in addresses[:MOST] if (each := self._fetch(address)) is not None]
        if not found:
            return []
        vectors = np.stack([self._similarity.embed(pixels) for _, pixels in found])
        hashes = [hash_picture(pixels) for _, pixels in found]
        return rank([data for data, _ in found], vectors, hashes, self._similarity.embed(picture), picture)

    def _search(self, words: str) -> list[str]:
        service = self._service
        parameters = {**self._parameters, service.words: words}
        headers = {}
        if self._key and service.key_parameter:
            parameters[service.key_parameter] = self._key
        elif self._key:
            headers[service.key_header[0]] = service.key_header[1].format(self._key)
        answer = _get(self._url, parameters, headers, self._limits.timeout)
        if answer.status_code != 200:
            raise sort_out(answer.status_code, "", "", answer.headers.get("retry-after"), f"the search {self._name}")
        try:
            rows = answer.json().get(service.results) or []
        except (ValueError, AttributeError) as error:
            raise Passing("the search's answer cannot be read") from error
        found = (dig(row, *service.address) for row in rows)
        return [address for address in found if isinstance(address, str) and address.startswith(("http://", "https://"))]

    def _fetch(self, address: str) -> tuple[bytes, Pixels] | None:
        """A picture with its pixels, or None: pages of the web vanish, and the next one is as good."""
        try:
            answer = _get(address, {}, {}, self._limits.timeout, LARGEST_FILE)
            if answer.status_code != 200:
                return None
            return answer.content, np.asarray(flatten(read_image(answer.content).image))
        except (Passing, ImageError):
            return None


def _get(url: str, parameters: Mapping[str, str], headers: Mapping[str, str], timeout: float, largest: int = 5_000_000) -> Any:
    import httpx

    try:
        with httpx.stream("GET", url, params=parameters or None, headers=headers, timeout=timeout, follow_redirects=True) as answer:
            content = bytearray()
            for block in answer.iter_bytes():
                content += block
                if len(content) > largest:
                    raise Passing("the answer is too large")
            return httpx.Response(answer.status_code, headers=_plain(answer.headers), content=bytes(content))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Passing("it is out of reach") from error


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of an answer whose content is unpacked already."""
    return {
        name: value for name, value in headers.items() if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
    }
