"""Columns that stand in the names of folders, as Hive and Spark write them: ``site=north/day=1/part-0.parquet``."""

import re
import urllib.parse

from transforms.storage import uris

_NULL = "__HIVE_DEFAULT_PARTITION__"

Cells = tuple[tuple[str, str | None], ...]
"""(column, cell) of each folder."""


def partition_of(uri: str, manifest: str) -> Cells:
    """What the folders between a folder or glob of parts and one of its files say.

    >>> partition_of("s3://b/parts/site=north/day=2024%2F1/0.parquet", "s3://b/parts")
    (('site', 'north'), ('day', '2024/1'))
    """
    root = re.split(r"[*?\[]", uris.split(manifest)[1], maxsplit=1)[0]
    if root != uris.split(manifest)[1]:
        root = root.rpartition("/")[0]
    below = uris.split(uri)[1].removeprefix(root)
    pairs = [folder.partition("=") for folder in below.split("/")[:-1]]
    return tuple(
        (name, None if value == _NULL else urllib.parse.unquote(value)) for name, sign, value in pairs if name and sign
    )
