"""TFRecord files of ``tf.train.Example`` as manifests: a line for each record, its features as cells."""

from collections.abc import Iterator
from typing import IO, Any

from transforms.containers import DamagedRecordError, NoExampleError, parse_example, read_records, record_of
from transforms.images import image_format
from transforms.manifest.manifest import Manifest, ManifestError
from transforms.records import ImageFailure, Status

_IMAGES = ("image/encoded", "image", "image_raw", "jpg", "jpeg", "png")
_LABELS = ("image/class/label", "image/class/text")
_MOST_CELL = 10_000  # characters: what is longer is no further column but data


def lines_of_records(file: IO[bytes], manifest: Manifest) -> Iterator[tuple[tuple[int, int], str, dict[str, Any]]]:
    """((first byte, end) of the frame, name of the image's feature, cells) of each record.

    Raises:
        ManifestError: the file is none of records, or its records hold no image.
    """
    feature = manifest.image_column
    number = 0
    try:
        for number, (offset, frame) in enumerate(read_records(file), 1):
            features = _features_of(frame)
            if feature is None and features:
                feature = _image_feature(features)
                if feature is None:
                    raise ManifestError(
                        f"{manifest.shown}, record {number}: none of {', '.join(sorted(features)) or 'no feature'} "
                        "holds an image; name it in input.columns, such as {image: image/encoded}"
                    )
            yield (offset, offset + len(frame)), feature or _IMAGES[0], _cells(features, feature, manifest)
    except DamagedRecordError as error:
        raise ManifestError(
            f"{manifest.shown}: not a TFRecord file after record {number:,}: {error}; a compressed one has to be "
            "unpacked"
        ) from None


def _features_of(frame: bytes) -> dict[str, list]:
    """Empty where the record is damaged: its image becomes a row that says so."""
    try:
        return parse_example(record_of(frame))
    except (DamagedRecordError, NoExampleError):
        return {}


def _image_feature(features: dict[str, list]) -> str | None:
    named = [name for name in _IMAGES if name in features]
    for name in (*named, *(name for name in sorted(features) if name not in named)):
        values = features[name]
        if len(values) == 1 and isinstance(values[0], memoryview) and _is_image(bytes(values[0])):
            return name
    return None


def _is_image(content: bytes) -> bool:
    try:
        image_format(content)
    except ImageFailure as failure:
        return failure.status == Status.UNSUPPORTED
    return True


def _cells(features: dict[str, list], image: str | None, manifest: Manifest) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, values in features.items():
        if name == image or name == manifest.uri_column:
            continue
        plain = [_plain(value) for value in values]
        if any(value is None for value in plain):
            continue
        cells[name] = None if not plain else plain[0] if len(plain) == 1 else plain
    label = manifest.label_column
    if label is not None and label not in cells:
        found = next((name for name in _LABELS if cells.get(name) is not None), None)
        if found is not None:
            cells[label] = cells[found]
    return cells


def _plain(value: Any) -> Any:
    if not isinstance(value, memoryview):
        return value
    try:
        return bytes(value).decode() if len(value) <= _MOST_CELL else None
    except UnicodeDecodeError:
        return None
