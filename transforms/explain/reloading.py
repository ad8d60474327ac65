"""Images that a run has explained, loaded once more: only while they are what they were, as patiently as in the job."""

import dataclasses
import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping

from transforms.explain.loading import FailedImage, FetchedImage, ImageLoader, LoadedImage, load_images
from transforms.records import ImageFailure, ImageRef, Stage, Status


@dataclasses.dataclass(frozen=True)
class Explained:
    """An image that has rows."""

    ref: ImageRef
    content_sha256: str | None  # of the bytes that were explained


@dataclasses.dataclass(frozen=True, eq=False)
class _Unchanged(ImageLoader):
    """One whose bytes are others by now fails before anything decodes them."""

    digests: Mapping[ImageRef, str | None] = dataclasses.field(default_factory=dict)

    def fetch(self, ref: ImageRef) -> FetchedImage | FailedImage:
        fetched = super().fetch(ref)
        if isinstance(fetched, FetchedImage):
            digest = hashlib.sha256(fetched.encoded).hexdigest()
            if digest != self.digests[ref]:
                message = "the image has changed since the run; explain it again"
                failure = ImageFailure(Status.FETCH_ERROR, Stage.FETCH, message, "ChangedImage")
                return FailedImage(ref, failure, digest, len(fetched.encoded))
        return fetched


def reload_images(images: Iterable[Explained], loader: ImageLoader) -> Generator[LoadedImage | FailedImage]:
    """Load images again, in order; see :func:`transforms.explain.load_images`."""
    digests: dict[ImageRef, str | None] = {}

    def refs() -> Iterator[ImageRef]:
        for image in images:
            digests[image.ref] = image.content_sha256
            yield image.ref

    yield from load_images(
        refs(), _Unchanged(loader.card, loader.settings, loader.storage, loader.tally, digests=digests)
    )
