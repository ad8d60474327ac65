"""What the workers need to know of the job, besides the model and the storage."""

import dataclasses

import pyarrow as pa

from transforms.images import Limits
from transforms.masks import MaskColumn
from transforms.overlays import OverlaySettings, member_uri
from transforms.records import Box
from transforms.table import TableLocation
from transforms.targets import TargetPolicy


@dataclasses.dataclass(frozen=True)
class ExplainSettings:
    """How images are explained and where the results go."""

    table: TableLocation
    schema: pa.Schema
    targets: TargetPolicy = TargetPolicy("predicted")
    overlays: OverlaySettings | None = None  # None: none are written
    overlay_folder: str | None = None  # URI; None: the place for them in the run
    batch_size: int = 32
    limits: Limits = Limits()
    regions: tuple[tuple[str, Box], ...] = ()  # declared regions, 0..1 of the model input
    detect_changes: bool = False  # note the version of each image, so that a later run sees that it has changed
    max_failures: int = 0  # images that fail one after another at the start of a worker, before it stops; 0: any number
    normalized_boxes: bool = False  # the boxes of the manifest are in 0..1 of the image, not in pixels
    extra_columns: tuple[str, ...] = ()  # names in the table of ImageRef.extra
    # The manifest's names of ImageRef.extra, for the model's other inputs; None: images are loaded, not explained.
    input_columns: tuple[str, ...] | None = None
    masks: MaskColumn | None = None  # where the ground-truth masks are; None: the manifest has none
    archive: str | None = None  # URI of the tar for the overlays of the shard at hand

    def of_shard(self, shard_id: str) -> "ExplainSettings":
        """The settings for one shard: its tar is named after it, so that a shard that is executed twice has one."""
        if self.overlays is None or not self.overlays.in_tar:
            return self
        return dataclasses.replace(self, archive=f"{self._overlay_folder}/part-{shard_id}.tar")

    def overlay_uri(self, image_id: str, target_index: int) -> str | None:
        """Named after hashes, never after the URI: a manifest cannot choose where overlays go."""
        if self.overlays is None:
            return None
        name = f"{image_id}-{target_index}.{self.overlays.format}"
        if self.archive is not None:
            return member_uri(name, self.archive)
        return f"{self._overlay_folder}/{image_id[:2]}/{name}"

    @property
    def _overlay_folder(self) -> str:
        return self.table.run.overlays if self.overlay_folder is None else self.overlay_folder
