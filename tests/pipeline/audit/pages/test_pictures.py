import re

import numpy as np
import pytest

from pipeline.audit.pages import pictures
from pipeline.audit.pages.page import percent


def test_names_of_classes_are_set_as_they_are(recwarn):
    names = [pictures.short(name, 7) for name in ("$5 note, $10 note", "猫", "🐶", "n" * 40)]
    mean = np.array([1.0, 2.0, 3.0, 4.0])
    figure = pictures.forest(names, mean, mean - 1, mean + 1, mean > 3, {"all classes": 2.0}, "border")
    for shown in ("$5 note, $10 note (7)", "猫 (7)", "🐶 (7)", "n" * 23 + "… (7)"):
        assert f">{shown}</text>" in figure
    assert not recwarn


def test_a_figure_has_a_width_of_its_own():
    values = np.arange(4.0)
    for figure, inches in (
        (pictures.trend("brightness", "area", values, values, values, values), 2.6),
        (pictures.histogram("area", np.arange(5.0), values, {"mean": 2.0}), 2.5),
    ):
        (width,) = re.findall(r'<svg [^>]*?\bwidth="([\d.]+)pt"', figure)
        assert float(width) == pytest.approx(72 * inches)
        assert "height=" not in figure[: figure.index(">")]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0 %"), (0.004, "< 1 %"), (0.006, "1 %"), (0.994, "99 %"), (0.997, "> 99 %"), (1.0, "100 %"), (None, "–")],
)
def test_what_is_nearly_none_or_all_is_not_shown_as_such(value, shown):
    assert percent(value).replace("\u00a0", " ") == shown
    assert percent(0.0004, 1).replace("\u00a0", " ") == "< 0.1 %"
