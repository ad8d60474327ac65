"""What models expect of pixels: the named conventions, and those that a user describes."""

import numpy as np
import pytest
from model_inputs import preprocessed

from transforms.model.preprocessing import LITE0, NAMED, as_named, parse_preprocessing

BLACK_WHITE = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
ORANGE = np.array([255, 128, 0], np.uint8)


@pytest.mark.parametrize(
    ("name", "black", "white"),
    [
        ("none", [0, 0, 0], [255, 255, 255]),
        ("unit", [0, 0, 0], [1, 1, 1]),
        ("minus_one_to_one", [-1, -1, -1], [1, 1, 1]),
        ("caffe", [-103.939, -116.779, -123.68], [151.061, 138.221, 131.32]),
        ("torch", [-2.117904, -2.035714, -1.804444], [2.248908, 2.428571, 2.64]),
    ],
)
def test_named_conventions_map_black_and_white(name, black, white):
    np.testing.assert_allclose(preprocessed(BLACK_WHITE, NAMED[name]), [black, white], rtol=1e-5, atol=1e-5)


def test_caffe_reverses_the_channels():
    np.testing.assert_allclose(
        preprocessed(ORANGE, NAMED["caffe"]), [0 - 103.939, 128 - 116.779, 255 - 123.68], rtol=1e-5
    )


def test_lite0_is_what_the_network_was_trained_with():
    np.testing.assert_allclose(preprocessed(ORANGE, LITE0), [1.0, 1 / 128, -127 / 128])


def test_described_preprocessing_has_defaults_and_takes_scalars():
    scaled = parse_preprocessing({"scale": 0.5, "offset": [1, 2, 3]})
    np.testing.assert_allclose(preprocessed(ORANGE, scaled), [128.5, 66, 3])
    reversed_ = parse_preprocessing({"bgr": True})
    np.testing.assert_allclose(preprocessed(ORANGE, reversed_), [0, 128, 255])


def test_a_described_convention_is_recognised_by_its_numbers():
    assert as_named(parse_preprocessing({"scale": 1 / 127.5, "offset": -1})).name == "minus_one_to_one"
    assert as_named(parse_preprocessing({"scale": 1 / 127.5, "offset": -1, "bgr": True})).name == "custom"


def test_sixteen_bits_are_no_convention_of_eight():
    deep = parse_preprocessing({"bits": 16, "scale": 1 / 65535})
    assert (deep.bits, parse_preprocessing({"scale": 1}).bits) == (16, 8)
    np.testing.assert_allclose(deep.apply(BLACK_WHITE.astype(np.uint16) * 257), [[0, 0, 0], [1, 1, 1]], rtol=1e-6)
    assert as_named(parse_preprocessing({"bits": 16})).name == "custom"
    assert as_named(parse_preprocessing({"bits": 8})).name == "none"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("imagenet", "'imagenet' is not known: say auto, none, unit"),
        ({"scale": 1, "mean": 3}, "has no key mean"),
        ({"scale": [1, 2]}, r"scale is \[1, 2\]: say one number, or three"),
        ({"offset": "1"}, "offset is '1'"),
        ({"offset": float("nan")}, "offset is nan"),
        ({"scale": [1, 0, 1]}, "a scale of 0 makes every image the same"),
        ({"bgr": 1}, "bgr is 1: say true or false"),
        ({"bits": 12}, "bits is 12: say 8 for pixels of 0..255, or 16"),
        ({"bits": True}, "bits is True: say 8"),
        (3, "neither a name nor"),
    ],
)
def test_mistakes_say_what_would_be_right(option, message):
    with pytest.raises(ValueError, match=message):
        parse_preprocessing(option)
