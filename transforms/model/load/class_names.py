"""The names of a model's classes. No TensorFlow here."""

import collections
import csv
import json
import posixpath
from collections.abc import Sequence

from transforms.model.errors import ModelRefused
from transforms.model.load.bundled import imagenet_names
from transforms.storage import Storage, uris

_IMAGENET = 1000


def resolve_class_names(
    option: str | Sequence[str] | None,
    class_count: int | None,
    is_imagenet: bool,
    storage: Storage,
) -> tuple[str, ...] | None:
    """The names of the classes in the order of the scores, or None where nobody knows them.

    Args:
        option: ``auto``, ``imagenet``, the names, or the path or URL of a file: .txt with one a line, .csv with the
            columns index and name (or names alone), .json with a list or ``{index: name}``; None for no names.
        class_count: scores of the model; None where its shape does not say.
        is_imagenet: the model comes with ImageNet's classes, as far as its source tells.

    Raises:
        ModelRefused: the names cannot be read, are not unique, or are not as many as the scores.
    """
    if option is None:
        return None
    if option == "auto":
        return imagenet_names() if is_imagenet and class_count == _IMAGENET else None
    if option == "imagenet":
        names = imagenet_names()
        if names is None:
            raise ModelRefused("the names of ImageNet's classes are not installed: pip install beam-gradcam[demo]")
        if class_count == _IMAGENET + 1:
            # The convention of TF Hub's and TF Slim's models.
            names = ("background", *names)
        where = "ImageNet"
    elif isinstance(option, str):
        names, where = read_class_names(option, storage), option
    else:
        names, where = tuple(str(name) for name in option), "model.class_names"
    if class_count is not None and len(names) != class_count:
        raise ModelRefused(
            f"{where} has {len(names)} class names, the model has {class_count} classes: name each class once, in the "
            "order of the scores"
        )
    if repeated := [name for name, count in collections.Counter(names).items() if count > 1]:
        raise ModelRefused(f"{where} names two classes {repeated[0]!r}: make the names different, targets go by name")
    return names


def read_class_names(url: str, storage: Storage) -> tuple[str, ...]:
    """Class names from a .txt, .csv or .json file at any fsspec URL.

    Raises:
        ModelRefused: with the file and what is wrong with it.
    """
    try:
        text = storage.read(storage.absolute(url)).decode("utf-8-sig")
    except Exception as error:  # the libraries of stores raise what they like
        message = f"the class names at {url} cannot be read: {type(error).__name__}: {error}"
        raise ModelRefused(storage.redact(message)) from error
    suffix = posixpath.splitext(uris.split(url)[1])[1].lower()
    if suffix == ".json":
        return _from_json(text, url)
    if suffix == ".csv":
        return _from_csv(text, url)
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if blank := [number for number, line in enumerate(lines, 1) if not line.strip()]:
        raise ModelRefused(f"{url} line {blank[0]} is empty: each line names a class, in the order of the scores")
    return tuple(line.strip() for line in lines)


def _from_json(text: str, url: str) -> tuple[str, ...]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelRefused(f"{url} is not JSON: {error}") from error
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return tuple(content)
    if isinstance(content, dict):
        # Keras' class_indices is {name: index}, most others are {index: name}.
        if content and all(isinstance(index, int) for index in content.values()):
            return _by_index([(index, name) for name, index in content.items()], url)
        # imagenet_class_index.json of keras.applications is {index: [wnid, name]}.
        pairs = [(index, name[-1] if isinstance(name, list) and name else name) for index, name in content.items()]
        if all(index.isdigit() and isinstance(name, str) for index, name in pairs):
            return _by_index([(int(index), name) for index, name in pairs], url)
    raise ModelRefused(f"{url} is neither a JSON list of names nor {{index: name}}")


def _from_csv(text: str, url: str) -> tuple[str, ...]:
    rows = [
        [cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)
    ]
    if rows and {"name", "class", "label", "index"} & {cell.lower() for cell in rows[0]}:
        header = [cell.lower() for cell in rows.pop(0)]
        names_at = next((header.index(key) for key in ("name", "class", "label") if key in header), len(header) - 1)
        index_at = header.index("index") if "index" in header else None
    else:
        names_at = len(rows[0]) - 1 if rows else 0
        index_at = 0 if rows and len(rows[0]) > 1 and all(row[0].isdigit() for row in rows) else None
    try:
        if index_at is None:
            return tuple(row[names_at] for row in rows)
        return _by_index([(int(row[index_at]), row[names_at]) for row in rows], url)
    except (IndexError, ValueError) as error:
        raise ModelRefused(f"{url} is not a CSV of class names with the columns index and name: {error}") from error


def _by_index(pairs: list[tuple[int, str]], url: str) -> tuple[str, ...]:
    pairs = sorted(pairs)
    if [index for index, _ in pairs] != list(range(len(pairs))):
        raise ModelRefused(f"{url} does not name the classes 0 to {len(pairs) - 1} once each")
    return tuple(name for _, name in pairs)
