import io
import json

import numpy as np
import PIL.Image
import pytest

from transforms.images.decoded import Limits
from transforms.masks.cell import mask_of, parse_mask
from transforms.masks.rle import decode_counts, decode_rle
from transforms.placement import place
from transforms.records import ImageFailure
from transforms.statistics.ground_truth import ground_truth_statistics
from transforms.statistics.masks import MaskUnion, TrueMask

LIMITS = Limits(max_pixels=1 << 20)


def runs_of(mask: np.ndarray) -> list[int]:
    """Down the columns, the background first, pixel by pixel."""
    runs, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


def compressed(runs: list[int]) -> str:
    """As rleToString of COCO's maskApi.c."""
    text = ""
    for place_, run in enumerate(runs):
        x = run - runs[place_ - 2] if place_ > 2 else run
        more = True
        while more:
            bits = x & 0x1F
            x >>= 5
            more = x != -1 if bits & 0x10 else x != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


def png(values: np.ndarray, mode: str) -> bytes:
    image = PIL.Image.fromarray(values.astype(np.uint8), "L")
    if mode == "P":
        image.putpalette([255 * (number % 2) for number in range(768)])
    elif mode != "L":
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_are_decoded_plain_and_compressed(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((23, 31)) < (0.02, 0.3, 0.5, 0.9, 1.1)[seed]
    runs = runs_of(mask)
    assert decode_counts(compressed(runs)) == runs
    for counts in (runs, compressed(runs)):
        np.testing.assert_array_equal(decode_rle({"size": [23, 31], "counts": counts}, LIMITS.max_pixels), mask)


def test_a_known_text_of_cocos_is_decoded():
    """From the documentation of pycocotools: runs 6 1 40 4 5 4 5 4 21."""
    assert decode_counts("61X13mN000`0") == [6, 1, 40, 4, 5, 4, 5, 4, 21]


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ('{"size": [2, 2], "counts": [1, 2]}', "add up to 3"),
        ('{"size": [2, 2], "counts": [-1, 5]}', "no list of numbers"),
        ('{"size": [2, 2], "counts": "~~"}', "no text of COCO's"),
        ('{"size": [2, 2], "counts": "o"}', "ends within a number"),
        ('{"size": [2, 3], "counts": [6]}', "must be the same"),
        ('{"size": [99999, 99999], "counts": [1]}', "input.max_pixels"),
        ('{"counts": [4]}', "no run-length mask"),
        ("[[[[", "begins like JSON"),
        ("[3]", "no run-length mask"),
    ],
)
def test_masks_that_are_none_are_refused(cell, why):
    with pytest.raises(ValueError, match=why):
        mask_of(parse_mask(cell), (2, 2), LIMITS, lambda _: b"")


def test_an_empty_cell_says_nothing():
    assert parse_mask("  ") is None
    assert parse_mask(None) is None


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_a_png_of_one_value_is_a_mask_whose_parts_are_objects(mode):
    values = np.zeros((6, 8), int)
    values[1:3, 1:4] = values[4:6, 6:8] = 255
    mask = mask_of(parse_mask("a.png"), (6, 8), LIMITS, lambda uri: {"a.png": png(values, mode)}[uri])
    np.testing.assert_array_equal(mask.inside, values > 0)
    assert mask.boxes.tolist() == [[1, 1, 4, 3], [6, 4, 8, 6]]


@pytest.mark.parametrize("mode", ["L", "P"])
def test_each_value_of_an_indexed_png_is_an_object_and_255_is_none(mode):
    values = np.zeros((6, 8), int)
    values[1:3, 1:4], values[0, :2], values[4:6, 6:8], values[5, 0] = 1, 1, 2, 255
    mask = mask_of(parse_mask("a.png"), (6, 8), LIMITS, lambda _: png(values, mode))
    np.testing.assert_array_equal(mask.inside, (values == 1) | (values == 2))
    assert mask.boxes.tolist() == [[0, 0, 4, 3], [6, 4, 8, 6]]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", "DECODE_ERROR"),
        (b"no picture", "DECODE_ERROR"),
        (png(np.zeros((6, 8)), "RGB"), "UNSUPPORTED"),
        (png(np.ones((6, 8)), "L")[:60], "DECODE_ERROR"),
        (png(np.ones((2000, 2000)), "L"), "TOO_LARGE"),
    ],
)
def test_a_file_that_is_no_mask_is_refused(content, status):
    with pytest.raises(ImageFailure) as failure:
        mask_of(parse_mask("a.png"), (6, 8), LIMITS, lambda _: content)
    assert failure.value.status == status


@pytest.mark.parametrize("seed", range(4))
def test_the_rectangles_are_the_mask_and_do_not_overlap(seed):
    inside = np.random.default_rng(seed).random((17, 13)) < (0.1, 0.5, 0.9, 0.0)[seed]
    inside[5:9] = inside[5]
    drawn = np.zeros(inside.shape, int)
    for x0, y0, x1, y1 in TrueMask.of_parts(inside).rectangles().astype(int):
        drawn[y0:y1, x0:x1] += 1
    np.testing.assert_array_equal(drawn, inside)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_coverage_is_that_of_a_fine_drawing(resize):
    rng = np.random.default_rng(3)
    inside = np.kron(rng.random((6, 9)) < 0.4, np.ones((5, 5))).astype(bool)  # 30 x 45 pixels
    placement = place(45, 30, 14, 14, resize)
    fine = 1400  # points a side of the model input
    centres = (np.arange(fine) + 0.5) / fine * 14
    x, y = (centres - placement.offset_x) / placement.scale_x, (centres - placement.offset_y) / placement.scale_y
    shown = ((x >= 0) & (x < 45))[None] & ((y >= 0) & (y < 30))[:, None]
    drawn = shown & inside[np.clip(y, 0, 29).astype(int)][:, np.clip(x, 0, 44).astype(int)]
    union = MaskUnion.of(TrueMask.of_parts(inside), placement)
    for cells in (7, 14):
        by_cell = drawn.reshape(cells, fine // cells, cells, fine // cells).mean(axis=(1, 3))
        np.testing.assert_allclose(union.coverage(cells, cells), by_cell, atol=0.01)
    assert union.area == pytest.approx(drawn.mean(), abs=0.002)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_a_mask_of_boxes_has_the_numbers_of_the_boxes(resize):
    rng = np.random.default_rng(5)
    boxes = ((4.0, 6.0, 20.0, 25.0), (30.0, 2.0, 44.0, 12.0))
    objects = np.zeros((2, 30, 45), bool)
    for mask, (x0, y0, x1, y1) in zip(objects, np.array(boxes, int), strict=True):
        mask[y0:y1, x0:x1] = True
    placement = place(45, 30, 28, 28, resize)
    cams = rng.normal(size=(6, 7, 7)).astype(np.float32)
    status = np.array(["OK"] * 6, object)
    by_boxes = ground_truth_statistics(cams, [boxes] * 6, [placement] * 6, status)
    by_mask = ground_truth_statistics(cams, [TrueMask.of_objects(objects)] * 6, [placement] * 6, status)
    assert by_boxes.keys() == by_mask.keys()
    assert by_mask["gt_status"].tolist() == by_boxes["gt_status"].tolist() == ["OK"] * 6
    for name in by_boxes.keys() - {"gt_status"}:
        np.testing.assert_allclose(by_mask[name], by_boxes[name], atol=1e-9, err_msg=name)


def test_a_mask_without_a_pixel_says_that_there_is_nothing_to_find():
    placement = place(45, 30, 28, 28, "stretch")
    nothing = TrueMask.of_objects(np.zeros((1, 30, 45), bool))
    cams = np.ones((1, 7, 7), np.float32)
    found = ground_truth_statistics(cams, [nothing], [placement], np.array(["OK"], object))
    assert found["gt_status"].tolist() == ["NONE"]
    assert found["gt_area"].tolist() == [0]
    everything = TrueMask.of_parts(np.ones((30, 45), bool))
    found = ground_truth_statistics(cams, [everything], [placement], np.array(["OK"], object))
    assert found["gt_status"].tolist() == ["FULL"]


def test_a_list_of_run_lengths_is_one_object_each():
    masks = np.zeros((2, 6, 8), bool)
    masks[0, 1:3, 1:4], masks[1, 2:6, 2:8] = True, True
    cell = json.dumps([{"size": [6, 8], "counts": compressed(runs_of(mask))} for mask in masks])
    found = mask_of(parse_mask(cell), (6, 8), LIMITS, lambda _: b"")
    np.testing.assert_array_equal(found.inside, masks.any(axis=0))
    assert found.boxes.tolist() == [[1, 1, 4, 3], [2, 2, 8, 6]]
