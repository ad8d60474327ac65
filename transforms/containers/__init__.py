"""Formats of files that hold many images: TFRecord with ``tf.train.Example``, Parquet with a column of images."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.containers.example import NoExampleError, parse_example
    from transforms.containers.parquet_images import (
        ImageColumn,
        NoImageError,
        decode_group,
        group_of_row,
        hugging_face_names,
        image_columns,
        span_of_group,
        stream_group,
    )
    from transforms.containers.part_of_file import PartOfFile
    from transforms.containers.tfrecord import DamagedRecordError, read_records, record_of

__all__ = [
    "DamagedRecordError",
    "ImageColumn",
    "NoExampleError",
    "NoImageError",
    "PartOfFile",
    "decode_group",
    "group_of_row",
    "hugging_face_names",
    "image_columns",
    "parse_example",
    "read_records",
    "record_of",
    "span_of_group",
    "stream_group",
]
__getattr__ = lazy_face(__name__, __file__)
