"""Weights out of torch's legacy pickle format, without torch and without running what the pickle asks for."""

import collections
import dataclasses
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from transforms.model.errors import ModelRefused

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES: dict[str, "np.dtype[Any]"] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A view of a storage; sizes and strides count elements."""

    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a ``state_dict`` that torch < 1.6 wrote with ``torch.save``, by name.

    Raises:
        ModelRefused: the file is not of this format, or its pickle asks for anything but tensors.
    """
    try:
        with open(path, "rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelRefused(f"{path} cannot be read as torch weights in the legacy format: {error}") from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    if _TensorUnpickler(file).load() != _MAGIC or _TensorUnpickler(file).load() != _PROTOCOL:
        raise ValueError("it does not begin with torch's magic number and protocol 1001")
    if not _TensorUnpickler(file).load()["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    unpickler = _TensorUnpickler(file)
    state = unpickler.load()
    storages = {key: _read_storage(file, *unpickler.storages[key]) for key in _TensorUnpickler(file).load()}
    tensors = {name: value for name, value in state.items() if isinstance(value, _Tensor)}
    return {name: _as_array(tensor, storages[tensor.key]) for name, tensor in tensors.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype, count: int) -> np.ndarray:
    size = int.from_bytes(file.read(8), "little")
    if size != count:
        raise ValueError(f"a storage of {count} elements is said to have {size}")
    content = file.read(count * dtype.itemsize)
    if len(content) != count * dtype.itemsize:
        raise ValueError(f"the file ends inside a storage of {count} elements")
    return np.frombuffer(content, dtype)


def _as_array(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0:
        raise ValueError(f"a tensor has a negative offset, size or stride: {tensor}")
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if 0 not in tensor.shape and last >= storage.size:
        raise ValueError(f"a tensor reaches element {last} of a storage of {storage.size}")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(view)


class _TensorUnpickler(pickle.Unpickler):
    """A pickle is a program; this one may call three things and no more."""

    def __init__(self, file: BinaryIO):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, tuple[np.dtype, int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which a file of weights has no use for")

    def persistent_load(self, reference: Any) -> str:
        kind, storage, key, _device, count, view = reference
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"it refers to {kind!r}, not to a storage")
        self.storages[key] = (_DTYPES[str(storage)], int(count))
        return str(key)


def _rebuild(key: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_rest: object) -> _Tensor:
    return _Tensor(key, offset, tuple(shape), tuple(strides))
