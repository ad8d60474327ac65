"""Every byte in or out: fsspec for all stores, the plain file system for local paths."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from transforms.records import ImageFailure, Stage, Status
from transforms.storage import uris
from transforms.storage.access import Doors
from transforms.storage.local_files import LocalFiles
from transforms.storage.members import Member, split_member
from transforms.storage.remote_files import RemoteFiles
from transforms.storage.retries import with_retries

if TYPE_CHECKING:
    from transforms.storage.rows import ParquetFooter  # the launch side reads configs without pyarrow

_LOCAL = LocalFiles()


@dataclasses.dataclass(frozen=True)
class Storage:
    """Where bytes come from and go to. Small and picklable: it travels to the workers.

    Only the methods for images ask the doors: the URIs of images come from the manifest, all others from the config.
    Remote requests are tried again after transient errors; each link of a chain such as ``zip://a::s3://bucket/b.zip``
    has the options of its own scheme.
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
            files = self._files(uri)
            return with_retries(
                lambda seconds: files.fetch(uri, max_bytes, seconds), self.attempts, self.timeout, on_retry
            )
        except ImageFailure:
            raise
        except Exception as error:
            message = self.redact(_explain(error, uri))
            # Every library has a timeout class of its own; rows are grouped by this name.
            name = "TimeoutError" if isinstance(error, TimeoutError) else type(error).__name__
            raise ImageFailure(Status.FETCH_ERROR, Stage.FETCH, message, name) from error

    def fetch_range(self, uri: str, start: int, end: int) -> bytes:
        """Some bytes of a file that holds images; fewer where it ends before. The doors are asked as for an image.

        Raises:
            ForbiddenError, OSError and whatever else the store raises.
        """
        self.doors.check(uri)
        files = RemoteFiles(self.options, self.doors, self.timeout, self.attempts)
        return with_retries(lambda seconds: files.fetch_range(uri, start, end, seconds), self.attempts, self.timeout)

    def member(self, uri: str) -> tuple[str, Member] | None:
        """(the file, where in it) of an image inside a file; None of one that is none, or that fsspec has to find."""
        found = split_member(uri)
        if found is None:
            return None
        self.doors.check(uri)
        kind, name, file = found
        files = RemoteFiles(self.options, self.doors, self.timeout, self.attempts)
        member = with_retries(lambda _: files.member(kind, name, file), self.attempts, self.timeout)
        return None if member is None else (file, member)

    def footer(self, uri: str) -> "ParquetFooter | None":
        """What a Parquet file with images says of itself; None where it is no Parquet file."""
        self.doors.check(uri)
        files = RemoteFiles(self.options, self.doors, self.timeout, self.attempts)
        return with_retries(lambda _: files.footer(uri), self.attempts, self.timeout)

    def size(self, uri: str) -> int:
        """Bytes of a file."""
        return self._files(uri).size(uri)

    def read(self, uri: str) -> bytes:
        """All bytes of a file that the config names or that this product has written."""
        return self._files(uri).read(uri)

    def open(self, uri: str) -> IO[bytes]:
        """A seekable binary file for reading; remote ones are read in blocks, as needed."""
        return self._files(uri).open(uri)

    def put(self, uri: str, content: bytes, durable: bool = True) -> None:
        """Write ``content`` in one step: readers see the old file or the new one, whole.

        Local: a temporary name that begins with a dot, in the same folder, then a rename. ``durable`` waits for the
        disk before the rename, so that not even a power failure leaves an empty file under the final name. Object
        stores: one PUT. Folders are made as needed.
        """
        self._files(uri).put(uri, content, durable)

    def remove(self, uri: str) -> None:
        """Remove a file that this product has written; it is no error that there is none."""
        self._files(uri).remove(uri)

    def exists(self, uri: str) -> bool:
        return self._files(uri).exists(uri)

    def is_directory(self, uri: str) -> bool:
        return self._files(uri).is_directory(uri)

    def walk(self, uri: str, follow_links: bool = False) -> Iterator[str]:
        """The URIs of all files below a folder, in order, without hidden ones; none where there is no such folder.

        Args:
            follow_links: go into the folders behind local links too; a link back to where it lies ends there.
        """
        return self._files(uri).walk(uri, follow_links)

    def glob(self, pattern: str) -> list[str]:
        """The URIs of the files that match, in order; ``**`` matches any number of folders."""
        return self._files(pattern).glob(pattern)

    def version_of_image(self, uri: str) -> str | None:
        """A text that changes when the content of an image does: ETag, or size and time, as the store knows them.

        None where the version cannot be had: the fetch of the image will say why.
        """
        try:
            self.doors.check(uri)
            return self._files(uri).version(uri)
        except Exception:  # noqa: BLE001 - a missing version is an answer here
            return None

    def digest(self, uri: str) -> str:
        """A digest (32 hex digits) of the bytes of a file, or of all files in a folder and their relative paths.

        Where the store tells a checksum of a file, the checksum stands for the bytes.

        Raises:
            FileNotFoundError: there is nothing at ``uri``.
        """
        return self._files(uri).digest(uri)

    def to_local(self, uri: str, target: Path) -> Path:
        """The path of a file or folder on this machine: its own where it is local, else ``target``, a copy.

        Raises:
            FileNotFoundError: there is nothing at ``uri``.
        """
        return self._files(uri).to_local(uri, target)

    def sweep(self, uri: str, older_than: float = 3600.0) -> int:
        """Remove what killed writers have left below a local folder; returns how many files. Seconds since written."""
        return self._files(uri).sweep(uri, older_than)

    def absolute(self, uri: str) -> str:
        """See :func:`transforms.storage.uris.absolute`."""
        return uris.absolute(uri)

    def join(self, base: str, relative: str) -> str:
        """See :func:`transforms.storage.uris.join`."""
        return uris.join(base, relative)

    def redact(self, text: str) -> str:
        """``text`` without credentials, those among the options included."""
        return uris.redact(text, self.options)

    def _files(self, uri: str) -> LocalFiles | RemoteFiles:
        if uris.is_local(uri):
            return _LOCAL
        return RemoteFiles(self.options, self.doors, self.timeout, self.attempts)


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
