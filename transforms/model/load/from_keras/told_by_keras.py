"""What Keras says of a file that it cannot load, and whether it is of an older Keras than the file."""

import json
import zipfile
from pathlib import Path

import h5py  # type: ignore[import-untyped]

_LONGEST = 500  # characters of a line: Keras repeats whole configurations


def cause_in(message: str) -> str:
    """The first line of an error of Keras and, where there are more, the last, which is the cause."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if not lines:
        return "no more is known"
    told = [line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..." for line in lines]
    return told[0] if len(told) == 1 else f"{told[0].rstrip('.')}: {told[-1]}"


def newer_keras(path: Path) -> str:
    """A sentence with the remedy where a newer Keras wrote the file than is installed here; else nothing."""
    import keras
    import tf_keras

    written = _version_in(path)
    here = keras.__version__ if written.startswith("3") else tf_keras.__version__
    if _numbers(written) <= _numbers(here):
        return ""
    return (
        f". It was written by Keras {written}, and here is {here}: install keras>={written}, or load the model where "
        "it was saved and export it, model.export(folder), for model.source: folder"
    )


def _version_in(path: Path) -> str:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    with h5py.File(path, "r") as file:
        version = file.attrs.get("keras_version", "")
        return version.decode("utf-8") if isinstance(version, bytes) else str(version)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part[:9]))
    return tuple(numbers)
