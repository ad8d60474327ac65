import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
from example_runs import examples
from fakes import rerun_probabilities
from synthetic import AUDIT_CARD, write_run

from pipeline.audit.inputs.measures import list_measures
from pipeline.audit.inputs.table import open_table
from pipeline.audit.probes.controls import IMAGES, read_controls, write_controls
from pipeline.audit.probes.faithfulness import areas_under_curves, read_faithfulness, write_faithfulness
from pipeline.audit.report import write_report
from pipeline.runs.record import run_at
from transforms.model.explanation import BatchExplanation
from transforms.placement import WHOLE
from transforms.storage.storage import Storage

STORAGE = Storage()


class ColourModel:
    """The score of a class is the mean of one colour, its map the mean of that colour in each cell."""

    card = AUDIT_CARD

    def explain(self, images: np.ndarray, targets: np.ndarray) -> BatchExplanation:
        cells = images.reshape(-1, 7, 8, 7, 8, 3).mean(axis=(2, 4)).astype(np.float32) / 50
        scores = cells.mean(axis=(1, 2))
        classes = np.where(targets < 0, scores.argmax(axis=1)[:, None], targets).astype(np.int32)
        exponentials = np.exp(scores)
        own = np.take_along_axis(scores, classes, axis=1)
        cams = np.take_along_axis(cells.transpose(0, 3, 1, 2), classes[:, :, None, None], axis=1)
        kept, removed = rerun_probabilities(cells, cams, classes)
        return BatchExplanation(
            cams=cams,
            classes=classes,
            scores=scores,
            probabilities=exponentials / exponentials.sum(axis=1, keepdims=True),
            target_scores=own,
            evidence=own,
            kept_probabilities=kept,
            removed_probabilities=removed,
            guarded=np.zeros(own.shape, np.int32),
            finite=np.isfinite(own),
        )


@pytest.fixture
def run(tmp_path):
    return run_at(str(write_run(tmp_path / "out", "r1", examples(corner=False, per_class=4))), STORAGE)


def test_controls_are_rows_of_their_own_and_the_same_every_time(run):
    contents = []
    for _ in range(2):
        with open_table({"statistics": run}, STORAGE) as table:
            write_controls(table, run, ColourModel(), STORAGE)
        contents.append(pq.read_table(run.files.controls))
    rows = contents[0]
    assert rows.equals(contents[1])
    counts = {row["values"]: row["counts"] for row in rows["control"].value_counts().to_pylist()}
    assert counts == {"noise": IMAGES, "grey": IMAGES, "shuffled": 12, "photos": 12, "random class": 12}
    with open_table({"statistics": run}, STORAGE) as table:
        assert table.records("SELECT count(*) AS n FROM statistics") == [{"n": 12}]


def test_the_readings_are_those_of_the_model(run):
    with open_table({"statistics": run}, STORAGE) as table:
        write_controls(table, run, ColourModel(), STORAGE)
    with open_table({"statistics": run}, STORAGE) as table:
        found = list_measures(table)
        readings = read_controls(table, found)
    assert readings is not None
    border = [measure.name for measure in found].index("border_lift")
    # A grey image has the same colour everywhere: a uniform map, whose lift is 1. Black has no positive evidence.
    grey = readings.names.index("grey")
    assert readings.means.mean[grey, border] == pytest.approx(1)
    assert readings.means.count[grey, border] == IMAGES - 1
    rows = pq.read_table(run.files.controls).to_pylist()
    shuffled = [row["border_lift"] for row in rows if row["control"] == "shuffled"]
    assert readings.means.mean[readings.names.index("shuffled"), border] == pytest.approx(np.mean(shuffled))
    brightness = {
        name: sorted(row["brightness"] for row in rows if row["control"] == name) for name in ("shuffled", "photos")
    }
    np.testing.assert_allclose(brightness["shuffled"], brightness["photos"], atol=1e-3)  # tiles move, pixels stay
    assert readings.class_distance.count[0, 0] >= 1


def test_a_map_that_shows_what_the_score_depends_on_is_faithful():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (56, 56, 3)).astype(np.uint8)
    pixels[8:24, 8:24, 0] = 255
    model = ColourModel()
    shown = model.explain(pixels[None], np.array([[0]])).cams[0, 0]
    elsewhere = shown[::-1, ::-1]

    @dataclasses.dataclass
    class PatchModel:
        """Only the red of the patch counts."""

        card = AUDIT_CARD

        def explain(self, images, targets):
            explanation = model.explain(images, targets)
            red = images[:, 8:24, 8:24, 0].mean(axis=(1, 2)) / 255
            probabilities = np.stack([red, (1 - red) / 2, (1 - red) / 2], axis=1)
            return dataclasses.replace(explanation, probabilities=probabilities)

    deletion, insertion = areas_under_curves(pixels, shown, 0, PatchModel())
    wrong_deletion, wrong_insertion = areas_under_curves(pixels, elsewhere, 0, PatchModel())
    assert deletion < wrong_deletion - 0.2
    assert insertion > wrong_insertion + 0.2
    # All pixels are gone at the end and there at the end: the curves meet.
    assert deletion + insertion == pytest.approx(wrong_deletion + wrong_insertion, abs=0.1)


def test_only_pixels_that_the_model_sees_are_taken_away():
    """A model that sees the lower rows has the curves of one that is given no more."""
    rng = np.random.default_rng(1)
    cam = rng.normal(size=(6, 10)).astype(np.float32)
    pixels = rng.integers(0, 60, (80, 80, 3)).astype(np.uint8)
    pixels[32:] += np.where(cam > 0, 150, 0).astype(np.uint8).repeat(8, 0).repeat(8, 1)[..., None]
    pixels[:32] = pixels[64:32:-1]  # mirrored, as the blur takes pixels beyond the border

    @dataclasses.dataclass
    class Cropping:
        """The brightness of some of the pixels that it sees."""

        top: int

        @property
        def card(self):
            return dataclasses.replace(AUDIT_CARD, seen=(0.0, self.top / 80, 1.0, 1.0) if self.top else WHOLE)

        def explain(self, images, targets):
            probabilities = images[:, self.top :, 3:40].mean(axis=(1, 2)) / 255
            blank = dict.fromkeys((field.name for field in dataclasses.fields(BatchExplanation)), None)
            return BatchExplanation(**(blank | {"probabilities": probabilities}))

    own = areas_under_curves(pixels, cam, 1, Cropping(32))
    alone = areas_under_curves(pixels[32:], cam, 1, Cropping(0))
    np.testing.assert_allclose(own, alone, atol=1e-4)
    assert own[1] - own[0] > 0.05


def test_faithfulness_is_stored_and_both_are_in_the_report(run):
    with open_table({"statistics": run}, STORAGE) as table:
        write_controls(table, run, ColourModel(), STORAGE)
        write_faithfulness(table, run, 8, ColourModel(), STORAGE)
    rows = pq.read_table(run.files.faithfulness).to_pylist()
    assert len(rows) == len({row["image_id"] for row in rows}) == 8
    means = read_faithfulness(run, STORAGE)
    assert means is not None
    assert means.mean[0, 0] == pytest.approx(np.mean([row["deletion"] for row in rows]))
    assert means.mean[0, 5] == pytest.approx(np.mean([row["insertion"] - row["insertion_shuffled"] for row in rows]))
    page = STORAGE.read(write_report(run, STORAGE)).decode()
    assert "<h3>Controls</h3>" in page
    assert "out of 8 photos" in page
