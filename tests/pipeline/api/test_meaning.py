"""Rows of models whose output is a value, or any number of labels: what is found, what is true, and the map of it."""

import beam_gradcam as bg
import keras
import numpy as np
import pytest
import small_models

PHOTOS = small_models.images(5)
PIXELS = PHOTOS.astype(np.float32)
NAMES = ("cat", "dog", "grass", "sky", "sea", "sand")


def saved(folder, units: int, activation: str | None, loss: str) -> keras.Model:
    model = small_models.convolutional(activation=activation, classes=units)
    last = model.get_layer("scores")
    # Pixels of 0..255 would drive each sigmoid to 0 or 1; a value that nothing raises would have no map.
    last.kernel.assign(0.02 * (np.abs(last.kernel) if units == 1 else last.kernel))
    model.compile(loss=loss)
    model.save(folder / "m.keras")
    return model


def open_saved(folder, **options) -> bg.Model:
    return bg.open_model(str(folder / "m.keras"), preprocessing="none", batch_size=4, **options)


@pytest.fixture(scope="module")
def ages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ages")
    return saved(folder, 1, None, "mse"), open_saved(folder, class_names=["age"])


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    model = saved(folder, len(NAMES), "sigmoid", "binary_crossentropy")
    probabilities = model.predict(PIXELS, verbose=0)
    return probabilities, open_saved(folder, class_names=list(NAMES), threshold=float(np.median(probabilities)))


def test_a_value_has_its_label_and_its_error_and_nothing_of_classes(ages):
    model, opened = ages
    labels = [34.5, "28", None, "old", 3]
    rows = opened.explain([bg.Image(p, label=label) for p, label in zip(PHOTOS, labels, strict=True)]).table()
    predicted = model.predict(PIXELS, verbose=0)[:, 0]
    np.testing.assert_allclose(rows["predicted_value"].to_numpy(), predicted, rtol=1e-4)
    assert rows["label_value"].to_pylist() == [34.5, 28, None, None, 3]
    errors = rows["error"].to_pylist()
    assert errors[2:4] == [None, None]
    np.testing.assert_allclose([errors[0], errors[1], errors[4]], predicted[[0, 1, 4]] - [34.5, 28, 3], rtol=1e-4)
    assert set(rows["target_name"].to_pylist()) == {"age"}
    assert set(rows["target_reason"].to_pylist()) == {"value"}
    np.testing.assert_allclose(rows["target_score"].to_numpy(), predicted, rtol=1e-4)
    for name in ("predicted_index", "predicted_name", "predicted_probability", "target_probability", "target_rank",
                 "margin", "label_index", "is_correct", "outcome", "label_indices"):  # fmt: skip
        assert rows[name].null_count == len(rows), name


def test_the_drop_of_a_value_is_that_of_the_head_on_the_masked_features(ages):
    model, opened = ages
    found = opened.explain(PHOTOS)
    number = next(n for n, one in enumerate(found) if one.status == "OK")
    explained = found[number]
    features = keras.Model(model.inputs, model.get_layer("features").output)(PIXELS[[number]])[0].numpy()
    heat = np.maximum(explained.cam, 0) / explained.cam.max()
    last = model.get_layer("scores")

    def value(seen):
        return float(seen.mean((0, 1)) @ last.kernel.numpy()[:, 0] + last.bias.numpy()[0])

    row = explained.statistics
    whole = value(features)
    assert row["feature_keep_drop"] == pytest.approx(whole - value(features * heat[..., None]), rel=1e-3, abs=1e-5)
    assert row["feature_remove_drop"] == pytest.approx(
        whole - value(features * (1 - heat[..., None])), rel=1e-3, abs=1e-5
    )


def test_top_k_of_values_is_refused(ages):
    with pytest.raises(bg.UserError, match="top_k:2 is for classes, but the model gives 1 values"):
        ages[1].explain(PHOTOS, "top_k:2")


def test_a_row_of_several_labels_says_what_is_found_and_what_is_true(scenes):
    probabilities, opened = scenes
    threshold = opened.card.thresholds[0]
    labels = [["cat", "sky"], "dog", [], None, "sea;sand"]
    true = [{0, 3}, {1}, set(), None, {4, 5}]
    # A manifest's reader splits at semicolons; here the user writes a list.
    given = [bg.Image(p, label=label.split(";") if label and ";" in label else label)
             for p, label in zip(PHOTOS, labels, strict=True)]  # fmt: skip
    rows = opened.explain(given, list(NAMES)).table().to_pylist()
    assert len(rows) == 5 * 6
    for number, row in enumerate(rows):
        image, target = divmod(number, 6)
        found = probabilities[image] >= threshold
        assert row["target_index"] == target
        assert row["target_probability"] == pytest.approx(probabilities[image, target], rel=1e-4)
        assert row["found_indices"] == np.flatnonzero(found).tolist()
        if true[image] is None:
            assert (row["outcome"], row["is_correct"], row["label_indices"]) == (None, None, None)
            continue
        is_true = target in true[image]
        assert row["label_indices"] == sorted(true[image])
        assert row["outcome"] == ("TP" if found[target] else "FN") if is_true else ("FP" if found[target] else "TN")
        assert row["is_correct"] == (is_true == found[target])
        assert row["label_index"] == (1 if image == 1 else None)
    firsts = [row["class_probabilities"] for row in rows if row["class_probabilities"] is not None]
    np.testing.assert_allclose(firsts, probabilities, rtol=1e-4)
    assert {row["outcome"] for row in rows} == {"TP", "FP", "FN", "TN", None}


def test_label_targets_are_each_true_one(scenes):
    probabilities, opened = scenes
    given = [bg.Image(PHOTOS[0], label=["sky", "cat"]), bg.Image(PHOTOS[1], label=[]), bg.Image(PHOTOS[2], label="sea")]
    rows = opened.explain(given, "label").table().to_pylist()
    assert [(row["target_name"], row["target_reason"]) for row in rows] == [
        ("sky", "label"),
        ("cat", "label"),
        (NAMES[int(probabilities[1].argmax())], "predicted"),
        ("sea", "label"),
    ]


def test_all_that_is_above_a_probability_is_explained_however_many(scenes):
    probabilities, opened = scenes
    ordered = np.sort(probabilities, axis=None)
    for place in (0, 5, 15, 28):  # between two probabilities, as rounding decides at one
        least = (ordered[place] + ordered[place + 1]) / 2
        rows = opened.explain(PHOTOS, f"above:{least}").table().to_pylist()
        wanted = []
        for photo in probabilities:
            order = np.argsort(-photo).tolist()
            wanted += [(i, "above") for i in order if photo[i] >= least] or [(order[0], "predicted")]
        assert [(row["target_index"], row["target_reason"]) for row in rows] == wanted


def test_the_maps_above_a_probability_are_those_of_the_classes_asked_for_one_by_one(scenes):
    _, opened = scenes
    above = opened.explain(PHOTOS[:2], "above:0.01")
    listed = opened.explain(PHOTOS[:2], list(NAMES))
    by_name = {(e.uri, e.target_name): e.cam for e in listed}
    assert len(above) == 12  # more than are looked at first
    for explanation in above:
        np.testing.assert_allclose(
            explanation.cam, by_name[explanation.uri, explanation.target_name], rtol=1e-4, atol=1e-6
        )
