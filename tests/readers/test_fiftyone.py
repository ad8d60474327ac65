"""What ``export fiftyone`` writes, imported by FiftyOne itself with its own database."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from example_runs import examples
from synthetic import AUDIT_CARD, write_run

from pipeline.audit.inputs import open_table
from pipeline.runs.record import run_at
from transforms.overlays import heatmap_over
from transforms.storage.storage import Storage

FOLDER = Path(os.environ.get("BEAM_GRADCAM_READERS", Path.home() / ".cache" / "beam-gradcam" / "readers")) / "fiftyone"
STORAGE = Storage()
EXPORT = [sys.executable, "-m", "pipeline", "export", "fiftyone"]
SCRIPT = """
import json, sys
import fiftyone
dataset = fiftyone.Dataset.from_json(sys.argv[1])
samples = [
    {
        "image_id": sample.image_id, "filepath": sample.filepath, "border_lift": sample.border_lift,
        "prediction": [sample.prediction.label, sample.prediction.confidence],
        "ground_truth": sample.ground_truth and sample.ground_truth.label,
        "heatmap": sample.heatmap.map.tolist(),
    }
    for sample in dataset
]
print()
print(json.dumps([fiftyone.__version__, dataset.media_type, dataset.default_classes, samples]))
"""

pytestmark = [
    pytest.mark.readers,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not there: run tests/readers/setup.sh"),
]


def test_labels_measures_and_heatmaps_are_those_of_the_table(tmp_path):
    folder = write_run(tmp_path / "out", "r1", examples(corner=True, per_class=2))
    exported = tmp_path / "dataset.json"
    subprocess.run([*EXPORT, tmp_path / "out", "--to", exported], check=True)
    ended = subprocess.run(
        [FOLDER / "bin" / "python", "-c", SCRIPT, exported], capture_output=True, text=True, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FIFTYONE_DO_NOT_TRACK": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    version, media_type, classes, samples = json.loads(ended.stdout.splitlines()[-1])
    assert version.startswith("1.")
    assert media_type == "image"
    with open_table({"statistics": run_at(str(folder), STORAGE)}, STORAGE) as table:
        rows = {row["image_id"]: row for row in table.records("SELECT * FROM statistics")}
    assert classes[:3] == ["cat", "cup", "rocket"]
    assert {sample["image_id"] for sample in samples} == rows.keys()
    for sample in samples:
        row = rows[sample["image_id"]]
        cam = np.float32(row["cam"]).reshape(row["cam_height"], row["cam_width"])
        heat = heatmap_over(cam, AUDIT_CARD.place(row["width"], row["height"]), *np.shape(sample["heatmap"]))[2]
        np.testing.assert_array_equal(np.float32(sample["heatmap"]), heat)
        assert sample["filepath"] == row["uri"]
        assert sample["border_lift"] == row["border_lift"]
        assert sample["prediction"] == [classes[row["predicted_index"]], row["predicted_probability"]]
        assert sample["ground_truth"] == (None if row["label_index"] is None else classes[row["label_index"]])
