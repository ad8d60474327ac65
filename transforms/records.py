"""The elements that travel between the steps of the job.

All are frozen: Beam retries bundles, so an element is never changed once it was made. (A dataclass that
is not frozen would also be taken for a schema Row by Beam >= 2.73.)
"""

import dataclasses
import enum
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa  # the launch side reads configs without it

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the original image after EXIF orientation; x1 and y1 exclusive."""

MOST_BOXES = 1000
"""Of an image: the exact area of their union takes memory with the square of their number."""


class Status(enum.StrEnum):
    """What came of one image and target class; the column ``status``."""

    OK = "OK"
    ZERO = "ZERO"
    FLAT = "FLAT"
    NONFINITE = "NONFINITE"
    BAD_TARGET = "BAD_TARGET"
    BAD_INPUT = "BAD_INPUT"
    FETCH_ERROR = "FETCH_ERROR"
    DECODE_ERROR = "DECODE_ERROR"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED = "UNSUPPORTED"
    MODEL_ERROR = "MODEL_ERROR"

    @property
    def is_failure(self) -> bool:
        """ZERO and FLAT maps are results: the model was asked and answered."""
        return self not in (Status.OK, Status.ZERO, Status.FLAT)


FAILURES = frozenset(status for status in Status if status.is_failure)
"""Their texts are in it too: making a Status of each of a million rows takes seconds."""


class Stage(enum.StrEnum):
    """The step at which an image failed; the column ``error_stage``."""

    FETCH = "fetch"
    DECODE = "decode"
    TARGET = "target"
    INPUT = "input"
    COMPUTE = "compute"


class ImageFailure(Exception):
    """One image cannot be explained. It becomes one row, never the end of the job.

    ``error_type`` is the class name of the original exception where there is one, so that rows can be
    grouped by cause.
    """

    def __init__(self, status: Status, stage: Stage, message: str, error_type: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.stage = stage
        self.message = message
        self.error_type = error_type or type(self).__name__

    def __reduce__(self) -> tuple[type["ImageFailure"], tuple]:
        """An exception is pickled as a call with its message alone, if it does not say otherwise."""
        return type(self), (self.status, self.stage, self.message, self.error_type)


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRef:
    """One image of the manifest: where it is and what is known about it. Never its pixels."""

    uri: str
    image_id: str  # image_id_of(uri): 32 hex digits
    label: str | None = None  # the true class as the manifest has it: an index, a name, or a value
    targets: tuple[str, ...] | None = None  # classes asked for in the manifest; None: the job's own policy
    boxes: tuple[Box, ...] | None = None  # ground truth; None: the manifest has none for this image
    extra: tuple[str | None, ...] = ()  # further manifest columns, in the order of the job's extra columns
    expected: str | None = None  # the user's own prediction as the manifest has it: a class, or a probability
    # All that is true of the image, where the line tells several or none; None: ``label`` says it all.
    labels: tuple[str, ...] | None = None
    span: tuple[int, int] | None = None  # of an image inside a file: (first byte, how many) of what holds it there

    def __reduce__(self) -> tuple[type["ImageRef"], tuple]:
        """Pickled as the call that makes it: three times as fast as what dataclasses with slots do of their own."""
        whole = (self.uri, self.image_id, self.label, self.targets, self.boxes, self.extra, self.expected, self.labels)
        return ImageRef, whole if self.span is None else (*whole, self.span)


@dataclasses.dataclass(frozen=True, slots=True)
class RefBlock:
    """Lines of the manifest that follow each other."""

    start: int  # lines of the manifest before them
    refs: tuple[ImageRef, ...]

    def __reduce__(self) -> tuple[type["RefBlock"], tuple]:
        """As :meth:`ImageRef.__reduce__`."""
        return RefBlock, (self.start, self.refs)


@dataclasses.dataclass(frozen=True, slots=True)
class Shard:
    """The unit of work and of commit: references to the images that are still to be explained."""

    shard_id: str  # <bucket>-<digest of the image ids>: the same images give the same id, so a retry overwrites itself
    refs: tuple[ImageRef, ...]
    duplicates: int  # further manifest lines with a URI that this shard has already
    done: int  # images that have their rows already, with the same fingerprint
    done_failed: int  # of these, failures
    conflicts: int = 0  # images whose lines have different labels
    conflict: str = ""  # one of them, in words


@dataclasses.dataclass(frozen=True, eq=False)
class ShardResult:
    """What came of a shard: its rows, and what is worth knowing about how they were made."""

    shard: Shard
    rows: "pa.Table"  # the statistics schema, one row per image and target class
    seconds: dict[str, float]  # time spent per step, added up over the threads
    events: dict[str, int]  # counts worth knowing: batches, halved batches, out-of-memory back-offs ...
    embeddings: "pa.Table | None" = None  # the embedding schema, one row per explained image; None: none are wanted


def image_id_of(uri: str) -> str:
    """A stable name of 32 hex digits for an image, from its URI alone (BLAKE2b, 128 bit)."""
    return hashlib.blake2b(uri.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
