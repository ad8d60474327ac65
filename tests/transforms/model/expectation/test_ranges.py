"""Which range of pixels a chain of constants was made for, against chains that are made backwards."""

import numpy as np
import pytest

from transforms.model.expectation.ranges import RANGES, Affine, fits, range_for
from transforms.model.preprocessing import IMAGENET_MEAN, IMAGENET_STD, NAMED, Preprocessing

NETWORKS = {
    "0..1": (1 / 255, 0.0),
    "-1..1": (1 / 127.5, -1.0),
    "-0.5..0.5": (1 / 255, -0.5),
    "ImageNet's standardised pixels": (1 / (255 * np.array(IMAGENET_STD)), -np.array(IMAGENET_MEAN) / IMAGENET_STD),
    "pixels less ImageNet's means": (1.0, -np.array([123.68, 116.779, 103.939])),
    "pixels less 127.5": (1.0, -127.5),
    "0..255": (1.0, 0.0),
}


def chain(scale, offset, reverses: bool = False) -> Affine:
    return Affine(np.broadcast_to(scale, 3).astype(float), np.broadcast_to(offset, 3).astype(float), reverses)


@pytest.mark.parametrize("pixels", RANGES, ids=str)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_chain_from_each_range_to_what_each_network_takes_is_told(pixels, network):
    scale, offset = NETWORKS[network]
    # pixels of the range -> 0..255 -> what the network takes
    widened = 255 / (pixels.high - pixels.low)
    affine = chain(np.asarray(scale) * widened, np.asarray(offset) - np.asarray(scale) * widened * pixels.low)
    found = fits(affine)
    if affine.is_identity:
        assert found is None
    else:
        assert found is not None
        assert (str(found.pixels), found.target) == (str(pixels), network)


@pytest.mark.parametrize(
    ("mean", "deviation", "wanted"),
    [
        ([148.0, 104.0, 150.0], [50.0, 61.0, 44.0], "0..255"),  # stained slides
        ([0.58, 0.41, 0.59], [0.2, 0.24, 0.17], "0..1"),
        ([60.0] * 3, [40.0] * 3, "0..255"),  # radiographs
        ([-0.3] * 3, [0.5] * 3, "-1..1"),
        ([20000.0] * 3, [9000.0] * 3, "0..65535"),
    ],
)
def test_means_and_deviations_of_photos_tell_the_range_that_they_were_taken_in(mean, deviation, wanted):
    fit = fits(chain(1 / np.array(deviation), -np.array(mean) / deviation))
    assert fit is not None
    assert str(fit.pixels) == wanted


@pytest.mark.parametrize(
    ("scale", "offset"), [(1.0, 0.0), (0.9995, 0.0), (0.1, 0.0), (3.0, 7.0), (1 / 255**2, 0.0), (100.0, -3.0)]
)
def test_other_constants_tell_nothing(scale, offset):
    assert fits(chain(scale, offset)) is None


def test_a_network_with_a_convention_is_asked_for_it_first():
    assert str(range_for(chain(2.0, -1.0), NAMED["minus_one_to_one"])) == "0..1"
    assert range_for(chain(1 / 255, 0.0), NAMED["minus_one_to_one"]) is None
    caffe = chain(255.0, [-123.68, -116.779, -103.939], reverses=True)
    assert str(range_for(caffe, NAMED["caffe"])) == "0..1"
    assert range_for(Affine(caffe.scale, caffe.offset), NAMED["caffe"]) is None  # in the wrong order


def test_a_chain_is_taken_apart():
    first, last = chain(255.0, 3.0), chain([0.5, 0.25, 2.0], -1.0)
    both = Affine(first.scale * last.scale, first.offset * last.scale + last.offset)
    for found, wanted in ((both.before(last), first), (both.after(first), last)):
        assert found is not None
        np.testing.assert_allclose([found.scale, found.offset], [wanted.scale, wanted.offset], atol=1e-12)
    assert both.before(chain(1.0, 0.0, reverses=True)) is None


def test_the_ranges_are_those_that_their_preprocessings_make():
    for pixels in RANGES:
        made: Preprocessing = pixels.preprocessing
        ends = made.apply(np.array([[[[0, 0, 0], [255, 255, 255]]]], np.uint8))
        np.testing.assert_allclose(ends[0, 0, :, 0], [pixels.low, pixels.high], rtol=1e-6)
