"""Members of tar and zip archives, read where they lie: one index of an archive for all threads of a process.

fsspec reads the index of an archive anew for every file that is opened in it. Here a member is one range of the
archive, so that it costs what a file of its size costs. What is not plain is left to fsspec: compressed tars, archives
in archives, links, encrypted members.
"""

import collections
import dataclasses
import re
import struct
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Sized
from typing import IO, Generic, TypeVar

from transforms.storage.access import check_bytes

_BLOCK = 512  # of a tar: a header, then the data
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a zip
_SLACK = 256  # bytes by which further fields of a local header may be longer than those of the directory
_MOST_MEMBERS = 1_000_000  # that indexes hold in a process, some 200 bytes each
_TRUSTED = 300.0  # seconds in which a remote archive is not asked whether it is still the same

ReadRange = Callable[[int, int], bytes]
"""(start, end) -> the bytes of the archive; fewer where it ends before."""


class ArchiveChanged(OSError):
    """The archive is another one than the index is of."""


@dataclasses.dataclass(frozen=True, slots=True)
class TarMember:
    """A plain file in a tar."""

    offset: int  # of its data; the block before is its header
    size: int
    header: int | None  # checksum of that block; None: the one that it says itself

    @property
    def span(self) -> tuple[int, int]:
        """(first byte, how many) of what has to be read."""
        return self.offset - _BLOCK, _BLOCK + self.size

    @classmethod
    def at(cls, span: tuple[int, int]) -> "TarMember":
        """The member of whose index only this is known."""
        start, length = span
        return cls(start + _BLOCK, length - _BLOCK, None)

    def read(self, read_range: ReadRange, max_bytes: int) -> bytes:
        check_bytes(self.size, max_bytes)
        content = read_range(self.offset - _BLOCK, self.offset + self.size)
        if len(content) != _BLOCK + self.size or not self._is_header(content[:_BLOCK]):
            raise ArchiveChanged("the archive has changed since its index was read, or is cut off")
        return content[_BLOCK:]

    def _is_header(self, block: bytes) -> bool:
        if self.header is not None:
            return _checksum(block) == self.header
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return False
        return info.size == self.size


@dataclasses.dataclass(frozen=True, slots=True)
class ZipMember:
    """A file in a zip, stored or deflated."""

    offset: int  # of its local header
    header_size: int  # as far as the directory tells
    compressed: int  # bytes
    size: int
    checksum: int
    is_deflated: bool

    @property
    def span(self) -> tuple[int, int]:
        """(first byte, how many) of what has to be read."""
        return self.offset, self.header_size + _SLACK + self.compressed

    def read(self, read_range: ReadRange, max_bytes: int) -> bytes:
        check_bytes(self.size, max_bytes)
        start = self.offset
        content = read_range(start, start + self.header_size + _SLACK + self.compressed)
        if len(content) < _LOCAL_HEADER.size or content[:4] != b"PK\x03\x04":
            raise ArchiveChanged("the archive has changed since its index was read, or is cut off")
        *_, name_size, extra_size = _LOCAL_HEADER.unpack_from(content)
        begin = _LOCAL_HEADER.size + name_size + extra_size
        if begin + self.compressed > len(content):
            content += read_range(start + len(content), start + begin + self.compressed)
        content = content[begin : begin + self.compressed]
        if self.is_deflated:
            try:
                content = zlib.decompressobj(-15).decompress(content, max_bytes + 1)
            except zlib.error as error:
                raise OSError(f"damaged in its archive: {error}") from None
            check_bytes(len(content), max_bytes)
        if len(content) != self.size or zlib.crc32(content) != self.checksum:
            raise ArchiveChanged("damaged in its archive: the checksum is wrong, or the archive has changed")
        return content


Index = dict[str, TarMember | ZipMember | None]
"""Name -> member; None for one that is left to fsspec."""


Sized_ = TypeVar("Sized_", bound=Sized)


def read_index(kind: str, file: IO[bytes]) -> Index | None:
    """The members of an archive; None where it is not of this kind, as a tar that is compressed."""
    try:
        return _index_of_tar(file) if kind == "tar" else _index_of_zip(file)
    except (tarfile.ReadError, zipfile.BadZipFile):
        return None


class _Info(tarfile.TarInfo):
    """Of a plain file only what an index has: modes, owners and times take as long to read as all the rest."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> "_Info":
        found = cls()
        found.type = bytes(buf[156:157])
        try:
            found.size = int(buf[124:136].strip(b"\0 "), 8)
            found.chksum = int(buf[148:156].strip(b"\0 "), 8)
            name, folder = (bytes(field).partition(b"\0")[0] for field in (buf[:100], buf[345:500]))
        except ValueError:  # larger than eight digits, or no header
            name = b""
        is_plain = found.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not name.endswith(b"/") and found.size >= 0
        if not name or not is_plain or found.chksum != _checksum(buf):
            return super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        whole = b"/".join((folder, name)) if folder else name
        found.name = whole.decode(encoding or tarfile.ENCODING, errors)
        return found


def _index_of_tar(file: IO[bytes]) -> Index:
    index: Index = {}
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Info) as tar:
        kept: list[tarfile.TarInfo] = vars(tar)["members"]  # for links, which nobody follows here
        while (info := tar.next()) is not None:
            kept.clear()
            if not info.isdir():
                is_plain = info.isreg() and not info.issparse()
                member = TarMember(info.offset_data, info.size, info.chksum) if is_plain else None
                index[plain_name(info.name)] = member
    return index


def _index_of_zip(file: IO[bytes]) -> Index:
    index: Index = {}
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            is_plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and not info.flag_bits & 0x41
            index[plain_name(info.filename)] = (
                ZipMember(
                    offset=info.header_offset,
                    header_size=_LOCAL_HEADER.size + len(info.filename.encode()) + len(info.extra),
                    compressed=info.compress_size,
                    size=info.file_size,
                    checksum=info.CRC,
                    is_deflated=info.compress_type == zipfile.ZIP_DEFLATED,
                )
                if is_plain
                else None
            )
    return index


def _checksum(header: bytes | bytearray) -> int:
    """The sum of a tar header's bytes, its own place for it taken as blanks."""
    return sum(header[:148]) + 8 * ord(" ") + sum(header[156:])


def plain_name(name: str) -> str:
    """A member's name as fsspec has it, without the ``./`` that tar puts in front of what lies in a folder."""
    return re.sub("/+", "/", name).strip("/").removeprefix("./")


class _Slot(Generic[Sized_]):
    """The index of one archive; whoever is first reads it, the others wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.index: Sized_ | None = None
        self.version: str | None = None
        self.asked = 0.0


class Indexes(Generic[Sized_]):
    """The indexes of the archives that were used last. Thread-safe."""

    def __init__(self, most: int = _MOST_MEMBERS):
        self._most = most
        self._lock = threading.Lock()
        self._slots: collections.OrderedDict[str, _Slot[Sized_]] = collections.OrderedDict()

    def get(
        self, key: str, version: Callable[[], str], read: Callable[[], Sized_ | None], trusted: float = _TRUSTED
    ) -> Sized_ | None:
        """The index of the archive ``key``: read anew where its version is another, asked every ``trusted`` seconds."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
        with slot.lock:
            now = time.monotonic()
            if slot.version is None or now - slot.asked >= trusted:
                found = version()
                if found != slot.version:
                    slot.index = read()
                slot.version, slot.asked = found, now
            index = slot.index
        self._forget_some()
        return index

    def forget(self, key: str) -> None:
        with self._lock:
            self._slots.pop(key, None)

    def _forget_some(self) -> None:
        with self._lock:
            held = sum(len(slot.index or ()) for slot in self._slots.values())
            while held > self._most and len(self._slots) > 1:
                _, slot = self._slots.popitem(last=False)
                held -= len(slot.index or ())


INDEXES = Indexes[Index]()
