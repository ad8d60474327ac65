"""When a job must not start, from the table alone."""

import dataclasses

import pytest

from transforms.model.check.table import PixelCheck, PixelRow
from transforms.model.check.verdict import judge


def row(name="unit", **known) -> PixelRow:
    plain = PixelRow(name, (1.0,), (0.0,), False, None, 0.7, 2.0, 2.0, 1.0, 0, 0, None, None)
    return dataclasses.replace(plain, **known)


def check(*rows: PixelRow, images: int = 64, labelled: int = 0, evidence: str = "chain") -> PixelCheck:
    return PixelCheck("f", images, labelled, 10, 10, evidence, "x / 255 was seen", rows, 1.0)


def refusal(*rows: PixelRow, **known) -> str | None:
    return judge(check(*rows, **known), 0.98).refusal


def test_labels_decide_where_they_are_sure():
    taken = row(accuracy=0.5, p_value=1.0)
    better = row("torch", accuracy=0.8, p_value=0.009, wins=20, losses=6)
    assert refusal(taken, dataclasses.replace(better, p_value=0.011), labelled=64) is None
    assert refusal(taken, dataclasses.replace(better, wins=6, losses=20, accuracy=0.3), labelled=64) is None
    said = refusal(taken, better, labelled=64)
    assert said is not None
    assert "since x / 255 was seen" in said
    assert "by 64 labels torch is better: 80.0 % right against 50.0 % (20 images won, 6 lost" in said
    assert "model.preprocessing" in said
    assert "model.check_policy: warn" in said


def test_without_labels_half_of_the_mutual_information_is_the_border():
    poor = row("none", mutual_information=0.99, spread=0.5)
    assert "tell the images apart far better with unit" in (refusal(poor, row()) or "")
    assert refusal(dataclasses.replace(poor, mutual_information=1.01), row()) is None
    assert refusal(poor, row(), images=15) is None


def test_scores_that_are_only_surer_are_no_better():
    """A network without biases gives 255 times the logits for 255 times the pixels, and the same classes."""
    assert refusal(row(mutual_information=0.3), row("none", mutual_information=2.0)) is None


def test_images_of_one_class_are_no_reason_to_prefer_unsure_scores():
    alike = row(mutual_information=0.2, spread=0.1, confidence=0.9)
    assert refusal(alike, row("caffe", mutual_information=1.5, confidence=0.3)) is None
    assert refusal(alike, row("caffe", mutual_information=1.5, confidence=0.6)) is not None


def test_labels_know_better_than_mutual_information():
    poor = row("none", mutual_information=0.5, spread=0.5, accuracy=0.9, p_value=1.0)
    other = row(accuracy=0.9, p_value=1.0)
    assert refusal(poor, other, labelled=64) is None
    assert refusal(poor, other, labelled=4) is not None
    assert refusal(poor, dataclasses.replace(other, accuracy=0.95), labelled=64) is not None


@pytest.mark.parametrize(("agreement", "passes"), [(0.98, True), (0.97, False), (None, True)])
def test_the_users_own_predictions_must_be_met(agreement, passes):
    said = refusal(row(agreement=agreement), row("torch", agreement=1.0))
    assert (said is None) == passes
    if said:
        assert "only 97.0 % of 10 predictions are those of input.columns.expected (model.min_agreement is 0.98)" in said
        assert "the nearest is torch with 100.0 %" in said


def test_the_users_own_arrays_must_be_met():
    taken = row(reference_agreement=0.5, input_difference=0.25, map_distance=0.125)
    said = refusal(taken, row("torch", reference_agreement=0.25)) or ""
    assert "only 50.0 % of 10 predictions are those of the arrays of model.reference" in said
    assert "inputs differ by 25.0 % of their range, maps 0.125 apart" in said
    assert "no other preprocessing comes nearer: is the input size, model.resize" in said


def test_a_guess_is_called_one():
    verdict = judge(check(row(), row("torch"), evidence="open"), 0.98)
    assert verdict.refusal is None
    assert "nothing in the model says what it expects of pixels" in verdict.remarks[1]
    assert "mutual information 2.00; the best other is torch, 2.00" in verdict.remarks[0]


def test_a_guess_needs_less_to_be_given_up():
    """Three classes of photos, a network for -1..1 that is given 0..255: measured with the bundled one."""
    taken = row("none", mutual_information=0.84, confidence=0.26, spread=1.3)
    better = row("minus_one_to_one", mutual_information=1.36, confidence=0.79, spread=1.4, same_class=0.1)
    assert refusal(taken, better, evidence="said") is None
    said = refusal(taken, better, evidence="open") or ""
    assert "Taken is none, for want of evidence; but with minus_one_to_one the scores are surer" in said
    assert "0.79 against 0.26, mutual information 1.36 against 0.84, on 64 images" in said
    only_surer = dataclasses.replace(better, same_class=0.95)
    assert refusal(taken, only_surer, evidence="open") is None
    labels = {"labelled": 64, "evidence": "open"}
    assert (
        refusal(dataclasses.replace(taken, accuracy=0.6), dataclasses.replace(better, accuracy=0.6), **labels) is None
    )


def test_a_table_is_read_back_as_it_was_written():
    written = check(row(accuracy=0.5, p_value=1e-9), row("torch"))
    assert PixelCheck.decode(written.encode()) == written
