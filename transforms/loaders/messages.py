"""What a worker process and its loaders say to each other. No pixels: those lie in the ring."""

import dataclasses
import pickle
import traceback
from typing import Any

import numpy as np

from transforms.explain import FetchedImage, ImageLoader, LoadedImage
from transforms.model import BatchExplanation
from transforms.records import ImageRef

Durations = dict[str, list[float]]
Events = dict[str, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Open:
    """A shard begins. The file descriptor of its ring comes right behind."""

    session: int
    loader: type[ImageLoader]
    fields: dict[str, Any]  # of the loader, but its tally
    seconds: float  # that a fetch may take
    shape: tuple[int, ...]  # of a model input
    pixel_type: np.dtype
    ring_size: int  # bytes
    memory: int  # bytes that this shard may take in a loader


@dataclasses.dataclass(frozen=True)
class Close:
    """A shard has ended, one way or the other."""

    session: int


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """Fetch and decode an image, put the model input into its slot and keep the photo."""

    number: int
    session: int
    ref: ImageRef
    slot: int
    is_suspect: bool  # say what is known of the image before it is decoded
    fetched: FetchedImage | None = None  # what lies in a larger file, which one process reads for all


@dataclasses.dataclass(frozen=True, slots=True)
class Draw:
    """Draw the overlays of an image that this loader has loaded, and write them; or load the photo once more."""

    number: int
    session: int
    image: int  # number of its Load
    ref: ImageRef
    content_sha256: str | None
    overlays: list[tuple[str, np.ndarray]]  # URI and map


@dataclasses.dataclass(frozen=True, slots=True)
class MakeRows:
    """The rows of a batch."""

    number: int
    session: int
    images: list[LoadedImage]  # without their pixels
    slots: list[int]
    explanation: BatchExplanation


@dataclasses.dataclass(frozen=True, slots=True)
class Forget:
    """Nobody will ask for overlays of an image."""

    session: int
    image: int


@dataclasses.dataclass(frozen=True)
class Ready:
    """A loader has started."""


@dataclasses.dataclass(frozen=True)
class Known:
    """An image is about to be decoded: what would be known of it if that were the end."""

    number: int
    content_sha256: str
    byte_count: int
    content_version: str | None


@dataclasses.dataclass(frozen=True, eq=False)
class Raised:
    """What is no fault of an image."""

    error: BaseException


def raised(error: BaseException) -> Raised:
    """An error for the worker process to raise again, with where it happened; it may be one that cannot travel."""
    where = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever an exception of a library cannot do
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"in a loader process:\n{where}")
    return Raised(error)


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """Outcomes by the number of what was asked, and what was counted since the last answers, by session."""

    outcomes: list[tuple[int, Any]]
    tallies: list[tuple[int, Durations, Events]]
