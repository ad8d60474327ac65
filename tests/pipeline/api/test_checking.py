"""The check of pixels, asked in one's own code, is that of the job."""

import beam_gradcam as bg
import numpy as np
import pytest
from colour_models import NAMES, colour_classifier, pixels_of, write_pictures

LABELS = [NAMES[index] for index in range(len(NAMES)) for _ in range(3)]


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    return pixels_of(write_pictures(tmp_path_factory.mktemp("pictures"))).astype(np.uint8)


def test_what_a_job_would_refuse_is_refused(tmp_path, pixels):
    colour_classifier(sharpness=3.0).save(tmp_path / "m.keras")
    model = bg.open_model(str(tmp_path / "m.keras"), preprocessing="caffe", class_names=list(NAMES))
    images = [bg.Image(one, label=label) for one, label in zip(pixels, LABELS, strict=True)]
    found = model.check(images)
    assert (found.table.images, found.table.labelled, found.table.taken.name) == (33, 33, "caffe")
    best = max(found.table.rows, key=lambda row: row.accuracy)
    assert (best.name, best.accuracy) == ("minus_one_to_one", 1.0)
    assert "by 33 labels minus_one_to_one is better" in found.refusal
    assert found.refusal in repr(found)
    right = bg.open_model(str(tmp_path / "m.keras"), preprocessing="minus_one_to_one", class_names=list(NAMES))
    assert right.check(images).refusal is None


def test_live_models_and_your_own_predictions(pixels):
    live = colour_classifier()
    model = bg.open_model(live, preprocessing="minus_one_to_one", class_names=list(NAMES))
    said = live.predict(pixels / 127.5 - 1, verbose=0).argmax(1)
    agreed = model.check([bg.Image(one, expected=int(index)) for one, index in zip(pixels, said, strict=True)])
    assert (agreed.table.taken.agreement, agreed.refusal) == (1.0, None)
    other = model.check([bg.Image(one, expected=int(index + 1) % 11) for one, index in zip(pixels, said, strict=True)])
    assert other.table.taken.agreement == 0.0
    assert "only 0.0 % of 33 predictions" in other.refusal


def test_nothing_to_check_is_said(pixels):
    model = bg.open_model(colour_classifier(), preprocessing="unit")
    with pytest.raises(bg.UserError, match="none of 1 images could be loaded"):
        model.check([b"no image"])
