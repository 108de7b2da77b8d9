"""Read a picture from an address that a client names, if the server's owner allows that host, and never from a private network.

A host's name is looked up here, once; every address that it has must be public, and the connection is made to the address that was looked
at, so that a second answer of the name server is never used. Redirects are followed by the same rules.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from step1x_edit.serve.refusals import Refusal

if TYPE_CHECKING:
    import ssl

MOST_REDIRECTS = 3
SECONDS = 20.0


def is_public(address: str) -> bool:
    """Whether it is an address of the open internet: not private, local, reserved or multicast, not even dressed as IPv6."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def holds_picture(url: str) -> bool:
    """Whether it is a `data:` address, for which nothing is asked of others."""
    return url[:5].lower() == "data:"


class Reader:
    """Reads pictures from addresses.

    Args:
        hosts: names that may be read from, exact or *.domain; `data:` addresses, which hold the picture themselves, always may.
        permitted: which network addresses may be connected to.
        trust: the certificates that count; None for the usual ones.
    """

    def __init__(
        self,
        hosts: tuple[str, ...],
        permitted: Callable[[str], bool] = is_public,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = tuple(host.lower() for host in hosts)
        self._permitted = permitted
        self._trust = trust

    async def read(self, url: str, most: int) -> bytes:
        """The bytes at a `data:` or `https:` address.

        Args:
            url: the address.
            most: bytes that may come.

        Raises:
            Refusal: it is not allowed, not there, too large, or too slow.
        """
        if holds_picture(url):
            return self._unpack(url)
        try:
            async with asyncio.timeout(SECONDS):
                return await self._fetch(url, most)
        except TimeoutError as error:
            raise _refuse("The picture's address did not answer in time; send the picture itself.") from error

    def _unpack(self, url: str) -> bytes:
        head, comma, body = url.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise _refuse("A data: address must be of the form data:image/png;base64,...")
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _refuse("The data: address does not hold base64.") from error

    async def _fetch(self, url: str, most: int) -> bytes:
        import httpx

        async with httpx.AsyncClient(verify=self._trust or True, trust_env=False, timeout=SECONDS) as client:
            for _ in range(MOST_REDIRECTS + 1):
                host, port, path = self._check(url)
                address = await self._look_up(host, port)
                bracketed = f"[{address}]" if ":" in address else address
                try:
                    async with client.stream(
                        "GET",
                        f"https://{bracketed}:{port}{path}",
                        headers={"host": host if port == 443 else f"{host}:{port}", "accept": "image/*", "accept-encoding": "identity"},
                        extensions={"sni_hostname": host},
                    ) as answer:
                        if answer.has_redirect_location:
                            url = _join(url, answer.headers["location"])
                            continue
                        if answer.status_code != 200:
                            raise _refuse(f"The picture's address answered with status {answer.status_code}.")
                        content = bytearray()
                        async for chunk in answer.aiter_raw():
                            content += chunk
                            if len(content) > most:
                                raise _refuse("The pictures at the addresses are larger than a request may be; make them smaller first.")
                        return bytes(content)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise _refuse("The picture's address is out of reach; send the picture itself.") from error
        raise _refuse("The picture's address leads on too often; name the last one.")

    def _check(self, url: str) -> tuple[str, int, str]:
        """Host, port, and path with query, of an address that may be read."""
        if not self._hosts:
            raise _refuse("This server reads no addresses; send the picture itself, as a file or as data:image/png;base64,...")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port or 443
        except ValueError as error:
            raise _no_address() from error
        if parts.scheme != "https" or not host or parts.username or parts.password or not url.isprintable():
            raise _refuse("Addresses must be of the form https://host/picture.png.")
        if not any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in self._hosts):
            raise _refuse(f"This server does not read from {host[:100]}; send the picture itself.")
        return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    async def _look_up(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _refuse("There is no host of that name; send the picture itself.") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not all(self._permitted(address) for address in addresses):
            raise _refuse("That address leads into a private network, from which nothing is read.")
        return addresses[0]


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise _no_address() from error


def _no_address() -> Refusal:
    return _refuse("That is not an address; give one as https://host/picture.png.")


def _refuse(sentence: str) -> Refusal:
    return Refusal(sentence, 400, "invalid_image_url", "image")
