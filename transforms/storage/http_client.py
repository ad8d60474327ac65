"""Images over http: one streamed GET that cannot be led astray, with limits on time and bytes.

Imported on first use only: aiohttp is not needed for local files and object stores of other makers.
"""

import functools
import socket
from typing import Any

import aiohttp
import fsspec.asyn
from aiohttp.abc import ResolveResult
from fsspec.implementations.http import HTTPFileSystem
from yarl import URL

from transforms.storage.access import Doors, check_bytes


def guarded_options(options: dict[str, Any], doors: Doors) -> dict[str, Any]:
    """fsspec's storage options for http with the doors checked for every connection and redirect."""
    return {**options, "get_client": functools.partial(_guarded_client, doors)}


def get(filesystem: HTTPFileSystem, url: str, max_bytes: int, seconds: float) -> bytes:
    """The body of ``url``.

    Raises:
        FileNotFoundError: 404 or 410.
        PermissionError: 401 or 403.
        aiohttp.ClientResponseError: any other status from 400 up; carries status and headers.
        aiohttp.ClientError: a broken connection, or fewer bytes than announced.
        TimeoutError: not all there within ``seconds``, or a third of it passed without a byte.
        ImageFailure: TOO_LARGE; the body is, or claims to be, longer than ``max_bytes``.
        ForbiddenError: the doors are shut.
    """
    return fsspec.asyn.sync(filesystem.loop, _get, filesystem, url, max_bytes, seconds)


async def _get(filesystem: HTTPFileSystem, url: str, max_bytes: int, seconds: float) -> bytes:
    session = await filesystem.set_session()
    # A connection that went silent is worth another try before the whole time is spent.
    silence = seconds / 3
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=silence, sock_read=silence)
    async with session.get(filesystem.encode_url(url), **{**filesystem.kwargs, "timeout": timeout}) as response:
        if response.status in (404, 410):
            raise FileNotFoundError(f"HTTP {response.status} {response.reason}: {url}")
        if response.status in (401, 403):
            raise PermissionError(f"HTTP {response.status} {response.reason}: {url}")
        response.raise_for_status()
        check_bytes(response.content_length or 0, max_bytes)
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            check_bytes(len(body), max_bytes)
        return bytes(body)


async def _guarded_client(doors: Doors, **options: Any) -> aiohttp.ClientSession:
    async def check_redirect(_session: Any, _context: Any, redirect: aiohttp.TraceRequestRedirectParams) -> None:
        location = redirect.response.headers.get("Location") or redirect.response.headers.get("URI") or ""
        doors.check(str(redirect.url.join(URL(location))))

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(check_redirect)
    connector = aiohttp.TCPConnector(resolver=_GuardedResolver(doors))
    return aiohttp.ClientSession(connector=connector, trace_configs=[trace], **options)


class _GuardedResolver(aiohttp.ThreadedResolver):
    """aiohttp connects to nothing but what this returns, so what is checked is what is used."""

    def __init__(self, doors: Doors):
        super().__init__()
        self._doors = doors

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await super().resolve(host, port, family)
        for result in results:
            self._doors.check_address(host.rstrip("."), port, result["host"])
        return results
