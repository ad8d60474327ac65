"""Every byte in or out: fsspec for all stores, the plain file system for local paths."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import glob
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.core import url_to_fs

from transforms.records import ImageFailure, Stage, Status
from transforms.storage import local_files, uris
from transforms.storage.access import Doors, check_bytes
from transforms.storage.retries import http_status, with_retries

_RANGE_NOT_SATISFIABLE = 416  # what object stores say to the first bytes of an empty object

# Options by scheme, where the user has no others. botocore's own default lets ten requests out at a time.
_DEFAULTS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    scheme: {"config_kwargs": {"max_pool_connections": 64}} for scheme in ("s3", "s3a")
}

# What the file systems of fsspec call the fact that a file is another than before.
_VERSION_FACTS = ("ETag", "etag", "Last-Modified", "LastModified", "last_modified", "updated", "created", "date_time")


@dataclasses.dataclass(frozen=True)
class Storage:
    """Where bytes come from and go to. Small and picklable: it travels to the workers.

    Only :meth:`fetch` asks the doors: its URIs come from the manifest. Those of all other methods come from the config.
    """

    options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)  # fsspec's, by scheme
    doors: Doors = dataclasses.field(default_factory=Doors)
    timeout: float = 60.0  # seconds for one fetch or put, all its attempts together
    attempts: int = 4

    def fetch(self, uri: str, max_bytes: int, on_retry: Callable[[Exception], None] | None = None) -> bytes:
        """The bytes of an image that a manifest names.

        Transient errors are tried again within ``timeout``; ``on_retry`` is told of each.

        Raises:
            ImageFailure: FETCH_ERROR, or TOO_LARGE beyond ``max_bytes``. Its message holds no credentials.
        """
        try:
            self.doors.check(uri)
            return with_retries(
                lambda seconds: self._fetch_once(uri, max_bytes, seconds), self.attempts, self.timeout, on_retry
            )
        except ImageFailure:
            raise
        except Exception as error:
            message = self.redact(_explain(error, uri))
            # Every library has a timeout class of its own; rows are grouped by this name.
            name = "TimeoutError" if isinstance(error, TimeoutError) else type(error).__name__
            raise ImageFailure(Status.FETCH_ERROR, Stage.FETCH, message, name) from error

    def read(self, uri: str) -> bytes:
        """All bytes of a file that the config names or that this product has written."""
        if uris.is_local(uri):
            return Path(uris.local_path(uri)).read_bytes()
        filesystem, path = self._filesystem(uri)
        return filesystem.cat_file(path)

    def open(self, uri: str) -> IO[bytes]:
        """A seekable binary file for reading; remote ones are read in blocks, as needed."""
        if uris.is_local(uri):
            return open(uris.local_path(uri), "rb")
        filesystem, path = self._filesystem(uri)
        return filesystem.open(path, "rb")

    def put(self, uri: str, content: bytes, durable: bool = True) -> None:
        """Write ``content`` in one step: readers see the old file or the new one, whole.

        Local: a temporary name that begins with a dot, in the same folder, then a rename. ``durable`` waits for the
        disk before the rename, so that not even a power failure leaves an empty file under the final name. Object
        stores: one PUT. Folders are made as needed.
        """
        if uris.is_local(uri):
            local_files.replace(uris.local_path(uri), content, durable)
            return
        filesystem, path = self._filesystem(uri)
        with_retries(lambda _: filesystem.pipe_file(path, content), self.attempts, self.timeout)

    def remove(self, uri: str) -> None:
        """Remove a file that this product has written; it is no error that there is none."""
        if uris.is_local(uri):
            Path(uris.local_path(uri)).unlink(missing_ok=True)
            return
        filesystem, path = self._filesystem(uri)
        with contextlib.suppress(FileNotFoundError):
            filesystem.rm_file(path)

    def exists(self, uri: str) -> bool:
        if uris.is_local(uri):
            return os.path.exists(uris.local_path(uri))
        filesystem, path = self._filesystem(uri)
        return filesystem.exists(path)

    def is_directory(self, uri: str) -> bool:
        if uris.is_local(uri):
            return os.path.isdir(uris.local_path(uri))
        filesystem, path = self._filesystem(uri)
        return filesystem.isdir(path)

    def walk(self, uri: str) -> Iterator[str]:
        """The URIs of all files below a folder, in order, without hidden ones; none where there is no such folder."""
        if uris.is_local(uri):
            yield from local_files.walk(uris.local_path(uri))
            return
        filesystem, path = self._filesystem(uri)
        filesystem.invalidate_cache()  # files of other workers appear while a listing is cached
        for name in filesystem.find(path):
            if not any(part.startswith(".") for part in name[len(path) :].split("/")):
                yield _whole_uri(filesystem, name, uri)

    def glob(self, pattern: str) -> list[str]:
        """The URIs that match, in order; ``**`` matches any number of folders."""
        if uris.is_local(pattern):
            return sorted(glob.glob(uris.local_path(pattern), recursive=True))
        filesystem, path = self._filesystem(pattern)
        return [_whole_uri(filesystem, name, pattern) for name in sorted(filesystem.glob(path))]

    def version(self, uri: str) -> str:
        """A text that changes when the content does: the ETag, or size and modification time, as the store knows them.

        Raises:
            FileNotFoundError: There is no such file.
        """
        return self._version(uri)

    def version_of_image(self, uri: str) -> str | None:
        """The version of an image that a manifest names; None where it cannot be had: its fetch will say why."""
        try:
            self.doors.check(uri)
            return self._version(uri, self.doors)
        except Exception:  # noqa: BLE001 - a missing version is an answer here
            return None

    def sweep(self, uri: str, older_than: float = 3600.0) -> int:
        """Remove what killed writers have left below a local folder; returns how many files. Seconds since written."""
        return local_files.sweep(uris.local_path(uri), older_than) if uris.is_local(uri) else 0

    def absolute(self, uri: str) -> str:
        """See :func:`transforms.storage.uris.absolute`."""
        return uris.absolute(uri)

    def join(self, base: str, relative: str) -> str:
        """See :func:`transforms.storage.uris.join`."""
        return uris.join(base, relative)

    def redact(self, text: str) -> str:
        """``text`` without credentials, those among the options included."""
        return uris.redact(text, self.options)

    def _fetch_once(self, uri: str, max_bytes: int, seconds: float) -> bytes:
        if uris.is_local(uri):
            return local_files.read(uris.local_path(uri), max_bytes)
        filesystem, path = self._filesystem(uri, self.doors)
        if uris.scheme_of(uri) in ("http", "https"):
            from transforms.storage import http_client as http

            return http.get(filesystem, path, max_bytes, seconds)
        content = _read_remote(filesystem, path, max_bytes + 1, seconds)
        check_bytes(len(content), max_bytes)
        return content

    def _version(self, uri: str, doors: Doors | None = None) -> str:
        if uris.is_local(uri):
            status = os.stat(uris.local_path(uri))
            return f"{status.st_size}-{status.st_mtime_ns}"
        filesystem, path = self._filesystem(uri, doors)
        filesystem.invalidate_cache(path)
        facts = filesystem.info(path)
        changing = next((facts[key] for key in _VERSION_FACTS if facts.get(key)), "")
        return f"{facts.get('size')}-{changing}"

    def _filesystem(self, uri: str, doors: Doors | None = None) -> tuple[Any, str]:
        """fsspec's file system and path. fsspec keeps one file system per options and thread."""
        options = {scheme: _with_defaults(scheme, self.options.get(scheme, {})) for scheme in uris.schemes_of(uri)}
        if doors is not None:
            for scheme in {"http", "https"} & options.keys():
                from transforms.storage import http_client as http

                options[scheme] = http.guarded_options(options[scheme], doors)
        if uris.is_chained(uri):
            return url_to_fs(uri, **options)
        ((scheme, own_options),) = options.items()
        kind = fsspec.get_filesystem_class(scheme)
        return kind(**{**kind._get_kwargs_from_urls(uri), **own_options}), kind._strip_protocol(uri)


def _explain(error: Exception, uri: str) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        text = f"timed out: {text}"
    elif isinstance(error, FileNotFoundError) and error.errno is None:
        text = f"not found: {text}"
    elif isinstance(error, FileNotFoundError) and uri.startswith("file:") and "%" in uri:
        text += "; what follows file:// is taken literally, so write the name itself in place of percent escapes"
    elif isinstance(error, ValueError) and text.startswith("Protocol not known"):
        text += "; install the fsspec package for it, or correct the scheme"
    notes = getattr(error, "__notes__", [])
    return f"{text} ({', '.join(notes)})" if notes else text


def _with_defaults(scheme: str, options: Mapping[str, Any]) -> dict[str, Any]:
    defaults = _DEFAULTS.get(scheme, {})
    return {**options, **{name: {**values, **options.get(name, {})} for name, values in defaults.items()}}


def _whole_uri(filesystem: Any, name: str, uri: str) -> str:
    """The URI of a name that a listing gave, with the rest of the chain that ``uri`` has."""
    _, separator, rest = uri.partition("::") if uris.is_chained(uri) else ("", "", "")
    return filesystem.unstrip_protocol(name) + separator + rest


def _read_remote(filesystem: Any, path: str, count: int, seconds: float) -> bytes:
    """Up to ``count`` bytes in one request, or TimeoutError after ``seconds``."""
    if isinstance(filesystem, AsyncFileSystem):
        return sync(filesystem.loop, _read_async, filesystem, path, count, seconds)
    # Nothing can interrupt a synchronous client; a thread that hangs is left behind.
    outcome: concurrent.futures.Future[bytes] = concurrent.futures.Future()

    def work() -> None:
        try:
            outcome.set_result(_read_sync(filesystem, path, count))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True, name=f"fetch {path}").start()
    return outcome.result(seconds)


def _read_sync(filesystem: Any, path: str, count: int) -> bytes:
    try:
        return filesystem.cat_file(path, start=0, end=count)
    except Exception as error:
        if http_status(error) == _RANGE_NOT_SATISFIABLE and filesystem.size(path) == 0:
            return b""
        raise


async def _read_async(filesystem: Any, path: str, count: int, seconds: float) -> bytes:
    async with asyncio.timeout(seconds):
        try:
            return await filesystem._cat_file(path, start=0, end=count)
        except Exception as error:
            if http_status(error) == _RANGE_NOT_SATISFIABLE and (await filesystem._info(path))["size"] == 0:
                return b""
            raise
