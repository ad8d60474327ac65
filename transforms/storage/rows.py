"""Images that are rows of Parquet files."""

import dataclasses
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.containers import (
    ImageColumn,
    NoImageError,
    decode_group,
    group_of_row,
    image_columns,
    span_of_group,
)
from transforms.storage.access import check_bytes
from transforms.storage.archives import ArchiveChanged, Indexes, ReadRange


@dataclasses.dataclass(frozen=True)
class ParquetFooter:
    """What a Parquet file says of itself."""

    metadata: pq.FileMetaData
    columns: tuple[ImageColumn, ...]

    def __len__(self) -> int:
        """How much memory it takes, in pieces of some hundred bytes."""
        return self.metadata.num_row_groups * self.metadata.num_columns

    @classmethod
    def read(cls, file: IO[bytes]) -> "ParquetFooter | None":
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowException, OSError):
            return None
        return cls(parquet.metadata, tuple(image_columns(parquet.schema_arrow)))

    def leaf_of(self, column: str) -> str:
        """The path of the bytes of a column of images."""
        leaf = next((found.leaf for found in self.columns if found.name == column), None)
        if leaf is None:
            raise NoImageError(f"there is no column {column} of images")
        return leaf


FOOTERS = Indexes[ParquetFooter]()


@dataclasses.dataclass(frozen=True)
class RowMember:
    """A row of a column of images in a Parquet file. To read one, all of its row group are read."""

    footer: ParquetFooter
    leaf: str
    group: int
    row: int  # within the group

    @classmethod
    def of(cls, footer: ParquetFooter, row: int, column: str) -> "RowMember":
        group, within = group_of_row(footer.metadata, row)
        return cls(footer, footer.leaf_of(column), group, within)

    @property
    def span(self) -> tuple[int, int]:
        return span_of_group(self.footer.metadata, self.leaf, self.group)

    def read(self, read_range: ReadRange, max_bytes: int) -> bytes:
        return self.pick(self.decode(read_range), max_bytes)

    def decode(self, read_range: ReadRange) -> pa.ChunkedArray:
        """All images of the row group."""
        start, length = self.span
        chunk = read_range(start, start + length)
        if len(chunk) != length:
            raise ArchiveChanged("the file has changed since its footer was read, or is cut off")
        try:
            return decode_group(self.footer.metadata, self.leaf, self.group, chunk)
        except (pa.ArrowException, OSError) as error:
            raise ArchiveChanged(f"damaged in its file, or the file has changed: {error}") from None

    def pick(self, images: pa.ChunkedArray, max_bytes: int) -> bytes:
        """The image of the row, of those of its group."""
        image = images[self.row].as_py()
        if image is None:
            raise OSError(f"there is no image in this row of {self.leaf}")
        check_bytes(len(image), max_bytes)
        return image
