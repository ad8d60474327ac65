"""Files in other places: the file systems of fsspec, with their options, time limits and retries."""

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import fsspec
from fsspec.core import url_to_fs

from transforms.storage import archives, data_uris, members, uris
from transforms.storage.access import Doors, check_bytes
from transforms.storage.content import digest_of_bytes, digest_of_files, known_identity, version_of
from transforms.storage.local_files import LocalFiles
from transforms.storage.retries import Result, with_retries
from transforms.storage.timed_read import read_range

if TYPE_CHECKING:
    from transforms.storage.rows import ParquetFooter  # the launch side reads configs without pyarrow

# Options by scheme, where the user has no others. botocore's own default lets ten requests out at a time.
_DEFAULTS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    scheme: {"config_kwargs": {"max_pool_connections": 64}} for scheme in ("s3", "s3a")
}


_LOCAL = LocalFiles()
_ANY = 1 << 62  # bytes


@dataclasses.dataclass(frozen=True)
class RemoteFiles:
    """Remote files and those in archives. What each method does is said by the one of the same name in Storage.

    The fields are those of Storage, too.
    """

    options: Mapping[str, Mapping[str, Any]]
    doors: Doors
    timeout: float
    attempts: int

    def fetch(self, uri: str, max_bytes: int, seconds: float) -> bytes:
        """One attempt."""
        if uris.scheme_of(uri) == "data":
            return data_uris.decode(uri, max_bytes)
        member = self._fetch_member(uri, max_bytes, seconds)
        if member is not None:
            return member
        filesystem, path = self._filesystem(uri, self.doors)
        if uris.scheme_of(uri) in ("http", "https"):
            from transforms.storage import http_client as http

            return http.get(filesystem, path, max_bytes, seconds)
        content = read_range(filesystem, path, 0, max_bytes + 1, seconds)
        check_bytes(len(content), max_bytes)
        return content

    def _fetch_member(self, uri: str, max_bytes: int, seconds: float) -> bytes | None:
        """The bytes of an image inside a file; None where fsspec has to look for it."""
        found = members.split_member(uri)
        if found is None or self._options_of(found[0]):
            return None
        kind, name, file = found
        changed: archives.ArchiveChanged | None = None
        for _ in range(2):
            member = self.member(kind, name, file)
            if member is None:
                return None
            try:
                return member.read(lambda start, end: self.fetch_range(file, start, end, seconds), max_bytes)
            except archives.ArchiveChanged as error:
                self._forget(kind, file)
                changed = error
        if kind in ("tar", "zip"):
            return None
        raise OSError(str(changed))

    def member(self, kind: str, name: str, file: str) -> members.Member | None:
        """Where in ``file`` an image lies; None where fsspec has to look for it."""
        if kind in ("tar", "zip"):
            trusted = (0.0,) if uris.is_local(file) else ()
            index = archives.INDEXES.get(
                self._key_of(kind, file),
                lambda: self._file_version(file),
                lambda: self._read_index(kind, file),
                *trusted,
            )
            return None if index is None else index.get(archives.plain_name(name))
        return members.member_of_uri(kind, name, lambda: self.footer(file))

    def footer(self, file: str) -> "ParquetFooter | None":
        """What a Parquet file says of itself; None where it is none."""
        from transforms.storage.rows import FOOTERS, ParquetFooter

        def read() -> ParquetFooter | None:
            with self._open_guarded(file) as opened:
                return ParquetFooter.read(opened)

        trusted = (0.0,) if uris.is_local(file) else ()
        return FOOTERS.get(self._key_of("parquet", file), lambda: self._file_version(file), read, *trusted)

    def _forget(self, kind: str, file: str) -> None:
        if kind == "parquet":
            from transforms.storage.rows import FOOTERS

            FOOTERS.forget(self._key_of(kind, file))
        else:
            archives.INDEXES.forget(self._key_of(kind, file))

    def _key_of(self, kind: str, file: str) -> str:
        return f"{kind}::{file} {self._options_of(uris.scheme_of(file))!r}"

    def _file_version(self, file: str) -> str:
        return _LOCAL.version(file) if uris.is_local(file) else self.version(file)

    def _read_index(self, kind: str, file: str) -> archives.Index | None:
        with self._open_guarded(file) as opened:
            return archives.read_index(kind, opened)

    def _open_guarded(self, file: str) -> IO[bytes]:
        if uris.is_local(file):
            return _LOCAL.open(file)
        filesystem, path = self._filesystem(file, self.doors)
        return filesystem.open(path, "rb")

    def fetch_range(self, file: str, start: int, end: int, seconds: float) -> bytes:
        """One attempt; fewer bytes where the file ends before."""
        if uris.is_local(file):
            return _LOCAL.fetch_range(file, start, end)
        filesystem, path = self._filesystem(file, self.doors)
        return read_range(filesystem, path, start, end, seconds)

    def read(self, uri: str) -> bytes:
        if uris.scheme_of(uri) in ("tfrecord", "parquet"):
            return with_retries(lambda seconds: self.fetch(uri, _ANY, seconds), self.attempts, self.timeout)
        return self._again(uri, lambda filesystem, path: filesystem.cat_file(path))

    def open(self, uri: str) -> IO[bytes]:
        return self._again(uri, lambda filesystem, path: _opened(filesystem, path, uri))

    def put(self, uri: str, content: bytes, durable: bool) -> None:
        self._again(uri, lambda filesystem, path: filesystem.pipe_file(path, content))

    def remove(self, uri: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._again(uri, lambda filesystem, path: filesystem.rm_file(path))

    def exists(self, uri: str) -> bool:
        return self._again(uri, lambda filesystem, path: filesystem.exists(path))

    def is_directory(self, uri: str) -> bool:
        return self._again(uri, lambda filesystem, path: filesystem.isdir(path))

    def walk(self, uri: str, follow_links: bool) -> Iterator[str]:
        filesystem, path, names = self._again(uri, _listed)
        for name in names:
            if not any(part.startswith(".") and part != "." for part in name[len(path) :].split("/")):
                yield _whole_uri(filesystem, path, name, uri)

    def glob(self, pattern: str) -> list[str]:
        filesystem, path, found = self._again(
            pattern, lambda filesystem, path: (filesystem, path, filesystem.glob(path, detail=True))
        )
        names = sorted(name for name, facts in found.items() if facts["type"] != "directory")
        return [_whole_uri(filesystem, path, name, pattern) for name in names]

    def size(self, uri: str) -> int:
        return int(self._again(uri, lambda filesystem, path: filesystem.size(path)))

    def version(self, uri: str) -> str:
        """Asks the doors; one attempt."""
        found = members.split_member(uri)
        if found is not None and found[0] in ("tfrecord", "parquet"):
            return self._file_version(found[2])
        if uris.scheme_of(uri) == "data":
            return "data"  # another content is another URI
        filesystem, path = self._filesystem(uri, self.doors)
        filesystem.invalidate_cache(path)
        return version_of(filesystem.info(path))

    def digest(self, uri: str) -> str:
        view = _View(self, uri)
        root, names = view.again(_all_files)
        return digest_of_files(
            (name.removeprefix(root), view.again(functools.partial(_identity, name=name))) for name in names
        )

    def to_local(self, uri: str, target: Path) -> Path:
        view = _View(self, uri)
        root, names = view.again(_all_files)
        for name in names:
            copy = Path(os.path.normpath(f"{target}/{name.removeprefix(root).lstrip('/')}"))
            if copy != target and target not in copy.parents:
                raise ValueError(f"{name!r} leads out of the folder that it lies in")
            copy.parent.mkdir(parents=True, exist_ok=True)
            view.again(functools.partial(_copy, name=name, target=copy))
        return target

    def sweep(self, uri: str, older_than: float) -> int:
        return 0  # what a writer does not finish is not there

    def _again(self, uri: str, work: Callable[[Any, str], Result]) -> Result:
        """``work(file system, path)``, again after transient errors. To open an archive is work of that kind."""
        return with_retries(lambda _: work(*self._filesystem(uri)), self.attempts, self.timeout)

    def _filesystem(self, uri: str, doors: Doors | None = None) -> tuple[Any, str]:
        """fsspec's file system and path. fsspec keeps one file system per options and thread."""
        options = {scheme: _with_defaults(scheme, self._options_of(scheme)) for scheme in uris.schemes_of(uri)}
        if doors is not None:
            for scheme in {"http", "https"} & options.keys():
                from transforms.storage import http_client as http

                options[scheme] = http.guarded_options(options[scheme], doors)
        if uris.is_chained(uri):
            return url_to_fs(uri, **options)
        ((scheme, own_options),) = options.items()
        kind = fsspec.get_filesystem_class(scheme)
        return kind(**{**kind._get_kwargs_from_urls(uri), **own_options}), kind._strip_protocol(uri)

    def _options_of(self, scheme: str) -> Mapping[str, Any]:
        """Those of the scheme itself, else those of another name of the same store."""
        return next(
            (self.options[name] for name in (scheme, *sorted(uris.same_store(scheme))) if name in self.options), {}
        )


class _View:
    """The file system of one URI for many requests, so that an archive is opened once; anew after a transient error."""

    def __init__(self, files: RemoteFiles, uri: str):
        self._files, self._uri = files, uri
        self._opened: tuple[Any, str] | None = None

    def again(self, work: Callable[[Any, str], Result]) -> Result:
        """``work(file system, path)``, with as many attempts as any request; how long a model takes, nobody knows."""
        return with_retries(lambda _: work(*self._open()), self._files.attempts, math.inf, self._forget)

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            self._opened = self._files._filesystem(self._uri)
        return self._opened

    def _forget(self, _error: Exception) -> None:
        self._opened = None


def _opened(filesystem: Any, path: str, uri: str) -> IO[bytes]:
    file = filesystem.open(path, "rb")
    if uris.is_chained(uri):
        file.filesystem = filesystem  # an archive closes itself when nobody holds it
    return file


def _listed(filesystem: Any, path: str) -> tuple[Any, str, list[str]]:
    filesystem.invalidate_cache()  # files of other workers appear while a listing is cached
    return filesystem, path, filesystem.find(path)


def _all_files(filesystem: Any, path: str) -> tuple[str, list[str]]:
    """A path as fsspec has it, and of the file there or of all files below it the names, in order.

    Raises:
        FileNotFoundError: there is nothing.
    """
    filesystem.invalidate_cache(path)
    is_folder = filesystem.info(path)["type"] == "directory"
    # Behind http a folder is a page with links, which only who looks at it can tell.
    if not is_folder and not ("http" in filesystem.protocol and filesystem.isdir(path)):
        return path, [path]
    return path, sorted(name for name in filesystem.find(path) if not name.endswith("/"))


def _identity(filesystem: Any, path: str, name: str) -> str:
    known = known_identity(filesystem.info(name))
    if known is not None:
        return known
    with filesystem.open(name, "rb") as file:
        return digest_of_bytes(file)


def _copy(filesystem: Any, path: str, name: str, target: Path) -> None:
    filesystem.get_file(name, str(target))


def _with_defaults(scheme: str, options: Mapping[str, Any]) -> dict[str, Any]:
    defaults = _DEFAULTS.get(scheme, {})
    return {**options, **{name: {**values, **options.get(name, {})} for name, values in defaults.items()}}


def _whole_uri(filesystem: Any, path: str, name: str, uri: str) -> str:
    """The URI of a name that a listing of ``uri``, at fsspec's ``path``, gave: spelled as the caller spells it.

    A file system has a spelling of its own for the same store, such as ``abfs://`` for ``az://``, or leaves the account
    out; what was listed under one spelling must be found under it.
    """
    if uris.is_chained(uri):
        return filesystem.unstrip_protocol(name) + uri[uri.index("::") :]
    folders = uris.absolute(uri).split("/")
    alike = 0  # folders at the end that uri and path share
    for own, theirs in zip(reversed(folders), reversed(path.split("/")), strict=False):
        if own != theirs:
            break
        alike += 1
    shared = len("/".join(folders[len(folders) - alike :]))
    start = path[: len(path) - shared]
    if not name.startswith(start):
        return filesystem.unstrip_protocol(name)
    return "/".join(folders)[: len("/".join(folders)) - shared] + name[len(start) :]
