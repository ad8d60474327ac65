"""torch's legacy pickle format, read without torch: layout, views of storages, files that want more than tensors."""

import collections
import os
import pickle
import struct

import numpy as np
import pytest

from transforms.model.errors import ModelRefused
from transforms.model.load.bundled.torch_weights import read_state_dict


class _Global:
    """Pickles as a reference to any global, as torch and an attacker would."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class _Rebuilt:
    def __init__(self, storage, key, count, offset, shape, strides):
        self.reference = ("storage", _Global("torch", storage), key, "cpu", count, None)
        self.arguments = (offset, shape, strides, False, collections.OrderedDict())


class _Storage:
    def __init__(self, reference):
        self.reference = reference


class _Pickler(pickle._Pickler):  # the Python version: C's cannot write globals that do not exist
    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def persistent_id(self, obj):
        return obj.reference if isinstance(obj, _Storage) else None

    def save_global_reference(self, obj):
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    def save_rebuilt(self, obj):
        self.save_global_reference(_Global("torch._utils", "_rebuild_tensor_v2"))
        self.save((_Storage(obj.reference), *obj.arguments))
        self.write(pickle.REDUCE)

    dispatch[_Global] = save_global_reference
    dispatch[_Rebuilt] = save_rebuilt


def write_legacy(path, state, storages, magic=0x1950A86A20F9469CFC6C):
    with open(path, "wb") as file:
        for part in (magic, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, state):
            _Pickler(file, protocol=2).dump(part)
        pickle.dump(list(storages), file, protocol=2)
        for array in storages.values():
            file.write(struct.pack("<q", array.size))
            file.write(array.tobytes())
    return path


def test_strides_and_eight_byte_longs_are_respected(tmp_path):
    floats = np.arange(12, dtype="<f4")
    state = collections.OrderedDict(
        count=_Rebuilt("LongStorage", "7", 1, 0, (), ()),
        transposed=_Rebuilt("FloatStorage", "3", 12, 2, (2, 3), (1, 4)),
    )
    read = read_state_dict(write_legacy(tmp_path / "w.pth", state, {"7": np.array([1 << 40], "<i8"), "3": floats}))
    assert read["count"] == 1 << 40
    np.testing.assert_array_equal(read["transposed"], [[2, 6, 10], [3, 7, 11]])


@pytest.mark.parametrize(
    "wanted", [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("collections", "deque")]
)
def test_a_pickle_that_asks_for_anything_else_is_refused(tmp_path, wanted):
    path = write_legacy(tmp_path / "w.pth", {"weight": _Global(*wanted)}, {})
    with pytest.raises(ModelRefused, match=rf"its pickle asks for {wanted[0]}\.{wanted[1]}"):
        read_state_dict(path)


def test_code_in_a_pickle_does_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    (tmp_path / "w.pth").write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(ModelRefused, match="mkdir"):
        read_state_dict(tmp_path / "w.pth")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (_Rebuilt("FloatStorage", "3", 4, 1, (2, 2), (2, 1)), "reaches element 4 of a storage of 4"),
        (_Rebuilt("FloatStorage", "3", 4, -1, (2,), (1,)), "negative"),
        (_Rebuilt("FloatStorage", "3", 4, 0, (2,), (-1,)), "negative"),
        (_Rebuilt("FloatStorage", "3", 9, 0, (2,), (1,)), "is said to have 4"),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path, tensor, message):
    path = write_legacy(tmp_path / "w.pth", {"w": tensor}, {"3": np.zeros(4, "<f4")})
    with pytest.raises(ModelRefused, match=message):
        read_state_dict(path)


def test_truncated_and_foreign_files_are_refused(tmp_path):
    state = {"w": _Rebuilt("FloatStorage", "3", 4, 0, (4,), (1,))}
    path = write_legacy(tmp_path / "w.pth", state, {"3": np.zeros(4, "<f4")})
    (tmp_path / "short.pth").write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ModelRefused, match="the file ends inside a storage"):
        read_state_dict(tmp_path / "short.pth")
    with pytest.raises(ModelRefused, match="magic number"):
        read_state_dict(write_legacy(tmp_path / "magic.pth", state, {}, magic=1))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ModelRefused, match="cannot be read as torch weights"):
        read_state_dict(tmp_path / "text.pth")
