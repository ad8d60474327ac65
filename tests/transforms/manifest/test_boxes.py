"""Boxes as tools write them, and what their numbers give away."""

import numpy as np
import pytest

from transforms.manifest.boxes import BoxSurvey, parse_boxes

ONE, TWO = (1.0, 2.0, 3.5, 4.0), (5.0, 6.0, 7.0, 8.0)


@pytest.mark.parametrize(
    "cell",
    [
        [[1, 2, 3.5, 4], [5, 6, 7, 8]],
        "[[1, 2, 3.5, 4], [5, 6, 7, 8]]",
        "[(1, 2, 3.5, 4), (5, 6, 7, 8)]",
        "((1, 2, 3.5, 4), (5, 6, 7, 8),)",
        "[[1 2 3.5 4]\n [5 6 7 8]]",
        "[[1.  2.  3.5 4. ]\n [5.  6.  7.  8. ]]",
        str(np.array([ONE, TWO])),
        repr(np.array([ONE, TWO], np.float32)),
        repr([np.array(ONE), np.array(TWO)]),
        repr([tuple(np.array(ONE)), tuple(np.array(TWO))]),  # [(np.float64(1.0), ...
        "(1, 2, 3.5, 4), (5, 6, 7, 8)",
        [{"x0": 1, "y0": 2, "x1": 3.5, "y1": 4}, {"xmin": 5, "ymin": 6, "xmax": 7, "ymax": 8}],
        [{"x": 1, "y": 2, "width": 2.5, "height": 2}, {"left": 5, "top": 6, "right": 7, "bottom": 8}],
    ],
    ids=str,
)
def test_two_boxes_however_they_are_written(cell):
    assert parse_boxes(cell) == (ONE, TWO)


@pytest.mark.parametrize("cell", ["[1, 2, 3.5, 4]", "1, 2, 3.5, 4", "1 2 3.5 4", "(1, 2, 3.5, 4)", [1, 2, 3.5, 4],
                                  str(np.array(ONE)), '{"x0": 1, "y0": 2, "x1": 3.5, "y1": 4}'])  # fmt: skip
def test_one_box_needs_no_list_around_it(cell):
    assert parse_boxes(cell) == (ONE,)


@pytest.mark.parametrize("cell", [None, "", "  ", "nan", "NaN", "None", "null", "<NA>", float("nan")])
def test_a_gap_is_no_box(cell):
    assert parse_boxes(cell) is None


def test_no_boxes_are_boxes_too():
    assert parse_boxes([]) == parse_boxes("[]") == parse_boxes("()") == ()


def test_numbers_are_read_as_the_config_says():
    assert parse_boxes("[[1, 2, 2.5, 2]]", "xywh") == (ONE,)
    assert parse_boxes([{"x0": 1, "y0": 2, "x1": 3.5, "y1": 4}], "xywh") == (ONE,)  # names say more than the config
    assert parse_boxes([{"x": 1, "y": 2, "w": 2.5, "h": 2}], "xyxy") == (ONE,)
    assert parse_boxes([[0.1, 0.2, 0.3, 1.01]], "normalized") == ((0.1, 0.2, 0.3, 1.01),)
    with pytest.raises(ValueError, match=r"\[1, 2, 30, 40\] is not in 0\.\.1 of the image, as input.box_format"):
        parse_boxes([[1, 2, 30, 40]], "normalized")


@pytest.mark.parametrize("cell", ["a dog", "[1, 2", "[[1, 2, 3]]", [["a", 1, 2, 3]], [{"x": 1}],
                                  "[(1,2,3),(4,5,6,7,8)]", "import os", "x0=1 y0=2",
                                  [[1, 2, 3, None]], "[1 2 3 4 5]", 7])  # fmt: skip
def test_what_is_no_box_is_refused_with_its_value_and_the_remedy(cell):
    with pytest.raises(ValueError, match=r"(is no list of boxes|is not a box); write \[\[x0, y0, x1, y1\]\] in pixels"):
        parse_boxes(cell)


def note(boxes, box_format="xyxy") -> str | None:
    survey = BoxSurvey()
    for box in boxes:
        survey.see((box,))
    return survey.note(box_format)


def test_boxes_that_are_plainly_something_else_are_spoken_of():
    rng = np.random.default_rng(1)
    corners = np.sort(rng.uniform(0, 500, (200, 2, 2)), axis=1).reshape(200, 4)
    sizes = corners - np.concatenate([np.zeros((200, 2)), corners[:, :2]], axis=1)
    assert note(corners.tolist()) is None
    assert "all 200 boxes lie in 0..1" in note((corners / 500).tolist())
    assert "input.box_format: normalized" in note((corners / 500).tolist())
    assert "input.box_format: xywh" in note(sizes.tolist())
    assert note(corners.tolist(), "xywh") is None
    assert note((corners / 500).tolist(), "normalized") is None
    assert note([*corners.tolist(), [9, 9, 3, 3]]) is None  # a slip of the pen
    assert note([]) is None
