"""Whole jobs of models that give values, or any number of labels: rows, summary and report against predict."""

import json
import re

import cv2
import keras
import numpy as np
import pyarrow.dataset as ds
import pytest
import small_models
from rich.console import Console
from sklearn.metrics import average_precision_score

from pipeline.audit.analysis.labels import audit_labels
from pipeline.audit.analysis.values import audit_values
from pipeline.audit.inputs.table import open_table
from pipeline.config import config_of
from pipeline.exit_codes import ExitCode
from pipeline.launch import launch
from pipeline.runs.record import find_run
from transforms.model.errors import ModelRefused
from transforms.storage.storage import Storage

COUNT = 24
STORAGE = Storage()
NAMES = ("cat", "dog", "grass")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of photos of the model's own size, so that predict sees the same pixels; float32 [COUNT, 32, 32, 3]."""
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(3)
    pixels = []
    for number in range(COUNT):
        small = noise.integers(0, 256, (4, 4, 3), np.uint8)
        photo = cv2.resize(small, (32, 32), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:02d}.png"), photo[:, :, ::-1])
        pixels.append(photo)
    return folder, np.stack(pixels).astype(np.float32)


def saved(folder, units: int, activation: str | None, loss: str) -> keras.Model:
    model = small_models.convolutional(activation=activation, classes=units)
    last = model.get_layer("scores")
    last.kernel.assign(last.kernel * 0.02)
    model.compile(loss=loss)
    model.save(folder / "m.keras")
    return model


def run(folder, manifest: str, **sections) -> tuple[ExitCode, list[dict]]:
    (folder / "m.csv").write_text(manifest)
    model = {"source": str(folder / "m.keras"), "preprocessing": "none"} | sections.pop("model", {})
    settings = {
        "input": {"manifest": str(folder / "m.csv")} | sections.pop("input", {}),
        "model": model,
        "output": {"path": str(folder / "out")},
        "run": {"id": "r1", "report": True, "controls": True},
        **sections,
    }
    code = launch(config_of(settings), [], Console(quiet=True))
    rows = ds.dataset(f"{folder}/out/statistics/run=r1").to_table().to_pylist()
    return code, sorted(rows, key=lambda row: (row["uri"], row["target_index"]))


def report(folder) -> str:
    return (folder / "out" / "runs" / "r1" / "report" / "index.html").read_text()


def audited(folder):
    return open_table({"statistics": find_run(str(folder / "out"), "r1", STORAGE)}, STORAGE)


@pytest.fixture(scope="module")
def ages(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ages")
    model = saved(folder, 1, None, "mse")
    labels = np.random.default_rng(1).uniform(0, 90, COUNT).round(1)
    lines = [f"{photos[0]}/{number:02d}.png,{label}" for number, label in enumerate(labels)]
    code, rows = run(
        folder, "\n".join(["uri,label", *lines]), model={"class_names": ["age"]}, explain={"faithfulness": 3}
    )
    return folder, code, rows, labels, model.predict(photos[1], verbose=0)[:, 0]


def test_a_job_of_ages(ages):
    folder, code, rows, labels, predicted = ages
    assert code == ExitCode.DONE
    np.testing.assert_allclose([row["predicted_value"] for row in rows], predicted, rtol=1e-4)
    np.testing.assert_allclose([row["error"] for row in rows], predicted - labels, rtol=1e-4)
    assert {row["target_reason"] for row in rows} == {"value"}
    summary = json.loads((folder / "out" / "runs" / "r1" / "summary.json").read_text())
    assert summary["model"]["output_kind"] == "value"
    assert "unknown_labels" not in summary["events"]


def test_the_report_of_ages_has_bins_of_value_and_of_error(ages):
    folder, _, _, labels, predicted = ages
    errors = predicted - labels
    with audited(folder) as table:
        (audit,) = audit_values(table, 8, 8)
    assert (audit.name, audit.rows, audit.labelled, audit.binned_by) == ("age", COUNT, COUNT, "label")
    assert audit.bias == pytest.approx(errors.mean(), rel=1e-4)
    assert audit.mean_absolute_error == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert audit.root_mean_square_error == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-4)
    assert audit.correlation == pytest.approx(np.corrcoef(predicted, labels)[0, 1], rel=1e-3)
    fifths = np.array_split(np.argsort(labels), 5)  # as ntile: the first ones are the larger
    for found, wanted in zip(audit.by_value, fifths, strict=True):
        assert found.rows == len(wanted)
        assert (found.low, found.high) == pytest.approx((labels[wanted].min(), labels[wanted].max()))
        assert found.error == pytest.approx(errors[wanted].mean(), rel=1e-4)
    highs = [found.high for found in audit.by_error]
    assert highs == sorted(highs)
    assert highs[-1] == pytest.approx(np.abs(errors).max(), rel=1e-4)
    page = report(folder)
    assert f"mean absolute error {np.abs(errors).mean():.2f}" in page
    assert "Furthest off" in page
    assert "Confident, but elsewhere" not in page
    assert '<section id="labels">' not in page


SCENES = [("cat",), ("dog", "grass"), (), ("grass",), ("cat", "dog", "grass"), ("dog",)]


@pytest.fixture(scope="module")
def scenes(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    model = saved(folder, 3, "sigmoid", "binary_crossentropy")
    probabilities = model.predict(photos[1], verbose=0)
    thresholds = np.sort(probabilities, axis=0)[10:12].mean(0)  # so that each label is found, and not always
    (folder / "thresholds.txt").write_text("\n".join(map(str, thresholds.tolist())))
    true = [SCENES[number % len(SCENES)] for number in range(COUNT)]
    lines = [
        f'{photos[0]}/{number:02d}.png,{",".join(str(int(name in labels)) for name in NAMES)},"[[4, 4, 20, 28]]"'
        for number, labels in enumerate(true)
    ]
    code, rows = run(
        folder,
        "\n".join([f"uri,{','.join(NAMES)},boxes", *lines]),
        input={"columns": {"labels": list(NAMES)}},
        model={"class_names": list(NAMES), "threshold": str(folder / "thresholds.txt")},
        explain={"targets": f"above:{float(np.median(probabilities))}"},
    )
    assert code == ExitCode.DONE
    y = np.array([[name in labels for name in NAMES] for labels in true])
    return folder, rows, y, probabilities, thresholds


def test_a_job_of_labels(scenes):
    _, rows, y, probabilities, thresholds = scenes
    least = float(np.median(probabilities))
    by_photo = {}
    for row in rows:
        by_photo.setdefault(int(row["uri"][-6:-4]), []).append(row)
    assert len(by_photo) == COUNT
    for number, of_photo in by_photo.items():
        found = set(np.flatnonzero(probabilities[number] >= least).tolist()) or {int(probabilities[number].argmax())}
        assert {row["target_index"] for row in of_photo} == found
        for row in of_photo:
            target = row["target_index"]
            said, is_so = probabilities[number, target] >= thresholds[target], y[number, target]
            assert row["outcome"] == {(1, 1): "TP", (1, 0): "FP", (0, 1): "FN", (0, 0): "TN"}[int(said), int(is_so)]
            assert row["label_indices"] == np.flatnonzero(y[number]).tolist()


def test_the_report_of_labels_counts_all_images_whatever_was_explained(scenes):
    folder, rows, y, probabilities, thresholds = scenes
    with audited(folder) as table:
        audits = {audit.name: audit for audit in audit_labels(table, NAMES, 8, 8)}
    assert set(audits) == set(NAMES)
    for index, name in enumerate(NAMES):
        audit, said, is_so = audits[name], probabilities[:, index] >= thresholds[index], y[:, index]
        assert (audit.true, audit.found) == (is_so.sum(), said.sum())
        assert audit.precision == pytest.approx((said & is_so).sum() / said.sum())
        assert audit.recall == pytest.approx((said & is_so).sum() / is_so.sum())
        assert audit.average_precision == pytest.approx(average_precision_score(is_so, probabilities[:, index]))
        assert audit.false_alarms == (said & ~is_so).sum() > 0
        others = {NAMES[other]: (y[:, other] & said & ~is_so).sum() for other in range(3) if other != index}
        assert (audit.instead_images, others[audit.instead]) == (max(others.values()),) * 2
        alarms = [row for row in rows if row["outcome"] == "FP" and row["target_index"] == index]
        maps = [row for row in alarms if row["status"] == "OK"]
        assert audit.false_maps == len(maps)
        if maps:
            assert audit.other_lift == pytest.approx(np.mean([row["gt_lift"] for row in maps]), rel=1e-4)
            assert audit.on_other_object == pytest.approx(np.mean([row["point_hit"] for row in maps]), rel=1e-4)
            mean = np.mean([np.array(row["cam"], float) / np.sum(row["cam"], dtype=float) * 64 for row in maps], axis=0)
            np.testing.assert_allclose(audit.maps["FP"].ravel(), mean, rtol=1e-3, atol=1e-4)
    page = report(folder)
    mean = np.mean([average_precision_score(y[:, i], probabilities[:, i]) for i in range(3)])
    assert f"average precision {mean:.3f}" in page
    assert "Found, but not there" in page
    assert not re.search(r"labelled <bdi>None", page)


def test_ties_count_together_in_the_average_precision(tmp_path):
    import duckdb

    from pipeline.audit.inputs.table import AuditTable

    noise = np.random.default_rng(0)
    scores, y = noise.integers(0, 4, (60, 3)) / 4, noise.random((60, 3)) < 0.3
    database = duckdb.connect()
    database.execute(
        "CREATE TABLE statistics (image_id VARCHAR, target_index INT, outcome VARCHAR, status VARCHAR, cam FLOAT[], "
        "point_hit FLOAT, gt_lift FLOAT, label_indices INT[], found_indices INT[], class_probabilities FLOAT[])"
    )
    for number in range(60):
        row = [str(number), np.flatnonzero(y[number]).tolist(), [], scores[number].tolist()]
        database.execute("INSERT INTO statistics VALUES (?, 0, NULL, 'OK', NULL, NULL, NULL, ?, ?, ?)", row)
    audits = audit_labels(AuditTable(database, ()), None, 1, 1)
    for audit in audits:
        wanted = average_precision_score(y[:, audit.index], scores[:, audit.index])
        assert audit.average_precision == pytest.approx(wanted, rel=1e-6)


def test_a_job_whose_labels_contradict_the_file_does_not_start(photos, tmp_path):
    saved(tmp_path, 1, None, "mse")
    lines = [f"{photos[0]}/{number:02d}.png,{('ill', 'well')[number % 2]}" for number in range(4)]
    with pytest.raises(ModelRefused, match=r"the loss mean_squared_error and the manifest's labels are names"):
        run(tmp_path, "\n".join(["uri,label", *lines]))
