"""Images packed into one file each way that people do: by the libraries that they use for it."""

import io
import json
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Packed:
    """An image to be packed."""

    name: str  # without a suffix
    content: bytes
    label: str | None = None
    site: str | None = None
    suffix: str = "png"


def write_tar(path: Path, images: Sequence[Packed], mode: str = "w") -> Path:
    """As WebDataset: a .cls and a .json beside each image that has something to say."""
    with tarfile.open(path, mode) as tar:
        for image in images:
            files = {image.suffix: image.content}
            if image.label is not None:
                files["cls"] = image.label.encode()
            if image.site is not None:
                files["json"] = json.dumps({"site": image.site}).encode()
            for extension, content in sorted(files.items()):
                info = tarfile.TarInfo(f"{image.name}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, images: Sequence[Packed], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A folder for each label."""
    with zipfile.ZipFile(path, "w", compression) as zipped:
        for image in images:
            zipped.writestr(f"{image.label or 'none'}/{image.name}.{image.suffix}", image.content)
    return path


def write_records(path: Path, images: Sequence[Packed], feature: str = "image/encoded", label: str = "label") -> Path:
    """By TensorFlow itself."""
    import tensorflow as tf

    def of_bytes(*values: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for image in images:
            features = {feature: of_bytes(image.content), "name": of_bytes(image.name.encode())}
            if image.label is not None and image.label.isdecimal():
                features[label] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(image.label)]))
            elif image.label is not None:
                features[label] = of_bytes(image.label.encode())
            if image.site is not None:
                features["site"] = of_bytes(image.site.encode())
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return path


def write_parquet(
    path: Path, images: Sequence[Packed], rows: int = 100, names: Sequence[str] = (), is_struct: bool = True
) -> Path:
    """As Hugging Face's ``datasets`` does; ``names`` are those of a ClassLabel."""
    column = [
        {"bytes": image.content, "path": f"{image.name}.{image.suffix}"} if is_struct else image.content
        for image in images
    ]
    columns = {"image": column}
    if any(image.label is not None for image in images):
        columns["label"] = [
            None if image.label is None else names.index(image.label) if names else image.label for image in images
        ]
    if any(image.site is not None for image in images):
        columns["site"] = [image.site for image in images]
    table = pa.table(columns)
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=rows)
    return path
