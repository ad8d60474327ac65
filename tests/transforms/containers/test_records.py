"""Our readers of TFRecord files and of tf.train.Example against TensorFlow's writer and protobuf."""

import io
import random

import pytest
import tensorflow as tf

from transforms.containers import crc32c
from transforms.containers.example import NoExampleError, parse_example
from transforms.containers.tfrecord import DamagedRecordError, read_records, record_of


def example(**features) -> tf.train.Example:
    kinds = {
        bytes: lambda values: tf.train.Feature(bytes_list=tf.train.BytesList(value=values)),
        float: lambda values: tf.train.Feature(float_list=tf.train.FloatList(value=values)),
        int: lambda values: tf.train.Feature(int64_list=tf.train.Int64List(value=values)),
    }
    made = {name: kinds[type(values[0])](values) if values else tf.train.Feature() for name, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=made))


def plain(features: dict) -> dict:
    return {name: [bytes(value) if isinstance(value, memoryview) else value for value in values]
            for name, values in features.items()}  # fmt: skip


def test_the_sum_is_that_of_the_standard():
    assert crc32c.of_few(b"") == 0
    assert crc32c.of_few(b"\0" * 32) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c.of_few(bytes(range(32))) == 0x46DD794E
    assert crc32c.of_many()(bytes(range(32))) == 0x46DD794E


def test_every_kind_of_feature_is_what_protobuf_makes_of_it():
    wanted = {"a": [b"one", b"", b"\xff" * 300], "floats": [1.5, -0.25], "whole": [0, 7, -1, 2**62, -(2**63)],
              "none": [], "é": [b"x"]}  # fmt: skip
    assert plain(parse_example(example(**wanted).SerializeToString())) == wanted
    assert parse_example(b"") == {}
    unpacked = bytes.fromhex("0a0b0a090a0161120 41a020805".replace(" ", ""))  # int64_list with an unpacked 5
    assert plain(parse_example(unpacked)) == {"a": [5]}


def test_anything_else_is_refused_and_never_crashes():
    content = example(image=[b"\x89PNG" * 50], label=[3], size=[1.0]).SerializeToString()
    rng = random.Random(0)
    refused = 0
    for _ in range(3000):
        broken = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            parse_example(bytes(broken[: rng.randint(1, len(broken))]))
        except NoExampleError:
            refused += 1
    assert refused > 300


@pytest.fixture
def file(tmp_path):
    records = [b"", b"one", b"x" * 100_000]
    with tf.io.TFRecordWriter(str(tmp_path / "r")) as writer:
        for record in records:
            writer.write(record)
    return (tmp_path / "r").read_bytes(), records


def test_records_are_those_that_tensorflow_wrote(file):
    content, records = file
    found = list(read_records(io.BytesIO(content)))
    assert [bytes(record_of(frame)) for _, frame in found] == records
    assert all(content[offset : offset + len(frame)] == frame for offset, frame in found)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: content[:-1], "the record at byte 35 is cut off"),
        (lambda content: content[:40], "the record at byte 35 is cut off"),
        (lambda content: b"\1" + content[1:], "no record at byte 0: the checksum of its length is wrong"),
        (lambda content: b"uri,label\n1.jpg,cat\n", "no record at byte 0"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(file, spoil, said):
    with pytest.raises(DamagedRecordError, match=said):
        list(read_records(io.BytesIO(spoil(file[0]))))


def test_a_damaged_record_is_known_by_its_sum(file, monkeypatch):
    frame = list(read_records(io.BytesIO(file[0])))[2][1]
    damaged = frame[:5000] + b"y" + frame[5001:]
    with pytest.raises(DamagedRecordError, match="the checksum of the record is wrong"):
        record_of(damaged)
    with pytest.raises(DamagedRecordError, match="not a record, or the file has changed"):
        record_of(frame[:-1])
    monkeypatch.setattr(crc32c, "of_many", lambda: None)  # without google-crc32c, lengths are all that is checked
    assert bytes(record_of(damaged)) == damaged[12:-4]
