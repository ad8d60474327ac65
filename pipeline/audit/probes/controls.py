"""What the same model reads where there is nothing to see, and where it is asked for a class at random.

Zero padding alone draws mass to the border, so a border or corner reading means little without its base rate.
"""

import dataclasses
import io
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.analysis import Means, group_means
from pipeline.audit.inputs import AuditTable, Measure, sampled_images, settings_of
from pipeline.runs import Run
from transforms.explain import LoadedImage, explained_rows
from transforms.images import widened
from transforms.model import GradCamModel
from transforms.placement import place
from transforms.records import ImageRef, image_id_of
from transforms.statistics import jensen_shannon_distance
from transforms.storage import Storage
from transforms.targets import ImageTargets

IMAGES = 32  # of each control
CONTROLS = {
    "noise": "every pixel at random",
    "grey": "one grey level each",
    "shuffled": "photos of the run, cut into 16 tiles that change places",
    "random class": "photos of the run, explained for a class at random: as with a head whose classes change places",
    "photos": "the same photos, explained for the predicted class",
}
_TILES = 4
_SEED = 0


@dataclasses.dataclass(frozen=True, eq=False)
class ControlReadings:
    """Means of c controls in k measures, and how much a map depends on the class it explains."""

    names: tuple[str, ...]
    means: Means  # [c, k]
    class_distance: Means  # [1, 1], JS distance of the maps of one photo for the predicted and a random class


def write_controls(table: AuditTable, run: Run, model: GradCamModel, storage: Storage) -> str:
    """Explain the control images and write their rows, those of the statistics table with a column ``control``."""
    card = model.card
    size = (card.input_height, card.input_width)
    rng = np.random.default_rng(_SEED)
    photos = sampled_images(table, run, IMAGES, storage)
    inputs: dict[str, Iterable[np.ndarray]] = {
        "noise": rng.integers(0, 256, (IMAGES, *size, 3), np.uint8),
        "grey": np.broadcast_to(np.linspace(0, 255, IMAGES).astype(np.uint8)[:, None, None, None], (IMAGES, *size, 3)),
        "shuffled": [_shuffled(photo.model_input, rng) for photo in photos],
    }
    # Where the model has other inputs than the image, those of the photos.
    ones = tuple(np.ones(one.shape, one.dtype) for one in card.given)
    beside = [photo.inputs for photo in photos] or [ones]
    images = []
    for control, pictures in inputs.items():
        placement = place(size[1], size[0], *size, "stretch", seen=card.seen)
        for number, pixels in enumerate(pictures):
            uri = f"control:{control}-{number}"
            ref = ImageRef(uri, image_id_of(uri), extra=(control,))
            target = ImageTargets((-1,), "predicted")
            pixels = np.ascontiguousarray(pixels if pixels.dtype == card.pixel_type else widened(pixels))
            image = LoadedImage(ref, target, "", 0, placement, pixels, None)
            images.append(dataclasses.replace(image, inputs=beside[number % len(beside)]))
    classes = rng.integers(0, card.class_count, len(photos)).tolist()
    for photo, chosen in zip(photos, classes, strict=True):
        targets = {"photos": ImageTargets((-1,), "predicted"), "random class": ImageTargets((chosen,), "listed")}
        for control, target in targets.items():
            ref = dataclasses.replace(photo.ref, extra=(control,))
            images.append(dataclasses.replace(photo, ref=ref, targets=target))
    rows = _explain(images, run, model)
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd")
    storage.put(run.files.controls, buffer.getvalue())
    return run.files.controls


def read_controls(table: AuditTable, measures: list[Measure]) -> ControlReadings | None:
    """What the controls of the run read; None where it has none."""
    if not table.has_controls:
        return None
    columns = ", ".join(f"CAST({measure.sql} AS DOUBLE) AS m{place}" for place, measure in enumerate(measures))
    found = table.arrays(f"SELECT control, {columns} FROM {table.name}_controls ORDER BY control, image_id")
    names = tuple(name for name in CONTROLS if name in set(found["control"]))
    groups = np.array([names.index(name) for name in found["control"]])
    values = np.stack([found[f"m{place}"].astype(np.float64) for place in range(len(measures))], axis=1)
    pairs = table.arrays(
        f"SELECT p.cam AS own, r.cam AS other, p.cam_height AS h, p.cam_width AS w FROM {table.name}_controls p "
        f"JOIN {table.name}_controls r USING (image_id) WHERE p.control = 'photos' AND r.control = 'random class' "
        "AND p.target_index <> r.target_index AND p.cam IS NOT NULL AND r.cam IS NOT NULL ORDER BY image_id"
    )
    distances = np.zeros(0)
    if len(pairs["own"]):
        shape = (-1, int(pairs["h"][0]), int(pairs["w"][0]))
        maps = [np.stack(list(pairs[side])).astype(np.float64).reshape(shape) for side in ("own", "other")]
        distances = jensen_shannon_distance(maps[0], maps[1])
    return ControlReadings(
        names=names,
        means=group_means(values, groups, len(names)),
        class_distance=group_means(distances[:, None], np.zeros(len(distances), int), 1),
    )


def _explain(images: list[LoadedImage], run: Run, model: GradCamModel) -> pa.Table:
    settings = settings_of(run, extra_columns=("control",))
    size = settings.batch_size
    tables = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        codes = np.array([image.targets.codes for image in batch], np.int32)
        extra = [np.stack(values) for values in zip(*(image.inputs for image in batch), strict=True)]
        inputs = np.stack([image.model_input for image in batch])
        explanation = model.explain(inputs, codes, *([extra] if extra else []))
        tables.append(explained_rows(batch, explanation, model.card, settings))
    return pa.concat_tables(tables)


def _shuffled(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with its tiles in another order; what does not fill a tile stays."""
    height, width = (side // _TILES for side in pixels.shape[:2])
    cut = pixels[: height * _TILES, : width * _TILES].reshape(_TILES, height, _TILES, width, 3).swapaxes(1, 2)
    tiles = rng.permutation(cut.reshape(-1, height, width, 3))
    made = pixels.copy()
    rows = tiles.reshape(_TILES, _TILES, height, width, 3).swapaxes(1, 2)
    made[: height * _TILES, : width * _TILES] = rows.reshape(height * _TILES, width * _TILES, 3)
    return made
