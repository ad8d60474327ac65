"""The weights in a Keras file of a stranger, looked at before they are read. No TensorFlow here."""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

from transforms.model.errors import ModelRefused
from transforms.model.load.from_keras.described import MEMBERS

_FLOOR = 1 << 26  # bytes that any array may take
_EXPANSION = 100  # Keras does not compress; others may


@contextlib.contextmanager
def stored_weights(path: Path, suffix: str) -> Iterator[Any]:
    """The HDF5 file with the weights, open for reading."""
    with contextlib.ExitStack() as stack:
        if suffix == ".keras":
            archive = stack.enter_context(zipfile.ZipFile(path))
            yield stack.enter_context(h5py.File(stack.enter_context(archive.open(MEMBERS[2])), "r"))
        else:
            yield stack.enter_context(h5py.File(path, "r"))


def count_weights(file: Any, source: str) -> int:
    """The number of numbers in an HDF5 file, all of which lie in it.

    HDF5 can take an array, or a whole group, from another file, and can declare arrays that it has no bytes for.

    Raises:
        ModelRefused: it does one of these.
    """
    count, pending, seen = 0, [file], set()
    while pending:
        group = pending.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                continue  # to another place in this file, which is looked at there
            if not isinstance(link, h5py.HardLink):
                raise ModelRefused(f"{source} takes {name} from another file, {_origin(link)}: save it as one file")
            child = group[name]
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(child, h5py.Group):
                pending.append(child)
            elif isinstance(child, h5py.Dataset):
                _refuse_elsewhere(child, source)
                count += child.size or 0
    return count


def _refuse_elsewhere(array: Any, source: str) -> None:
    if array.external or array.is_virtual:
        raise ModelRefused(f"{source} takes the numbers of {array.name} from other files: save it as one file")
    stored = array.id.get_storage_size()
    # A small one may be left out where it is all zeros.
    if array.nbytes > max(_FLOOR, _EXPANSION * stored):
        raise ModelRefused(
            f"{source} is damaged: {array.name} of the shape {list(array.shape)} would take {array.nbytes:,} bytes, of "
            f"which {stored:,} are in the file"
        )


def _origin(link: Any) -> str:
    return str(getattr(link, "filename", "of an unknown kind"))
