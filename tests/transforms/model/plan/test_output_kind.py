"""What an output means is read off activation, loss and labels; where it is open, both readings are named."""

import dataclasses

import pytest

from transforms.model.errors import ModelRefused
from transforms.model.plan.output_kind import Evidence, output_kind_of

LINEAR = Evidence("scores", 1, "none")
SIGMOID = Evidence("scores", 1, "sigmoid")
LOSSES = {"value": "mean_squared_error", "binary": "binary_crossentropy", "classes": "categorical_crossentropy"}


def seen(of: Evidence = LINEAR, loss=None, **more) -> Evidence:
    return dataclasses.replace(of, loss=loss, loss_name=LOSSES.get(loss), **more)


DECIDED = {
    "a softmax": (Evidence("scores", 5, "softmax"), "classes"),
    "a softmax of ages": (Evidence("scores", 5, "softmax", labels="numbers"), "classes"),
    "probabilities": (Evidence("scores", 5, "none", sum_to_one=True, one_true=True), "classes"),
    "a softmax without its background": (Evidence("scores", 5, "none", one_true=True, in_unit_range=True), "classes"),
    "a softmax of saturated units": (
        Evidence("scores", 5, "none", one_true=True, sum_to_one=True, unit_length=True),
        "classes",
    ),
    "linear units": (seen(units=5), "classes"),
    "linear units and names": (seen(units=5, labels="names"), "classes"),
    "linear units trained on values": (seen(units=5, loss="value"), "value"),
    "linear units trained on each label": (seen(units=5, loss="binary"), "multi_label"),
    "linear units trained on classes": (seen(units=5, loss="classes", labels="indices"), "classes"),
    "linear units and lists of numbers": (seen(units=5, labels="lists_of_numbers"), "value"),
    "one linear unit trained on values": (seen(loss="value"), "value"),
    "one linear unit trained on a decision": (seen(loss="binary"), "binary"),
    "one linear unit and fractions": (seen(labels="numbers"), "value"),
    "one linear unit and ages": (seen(labels="indices"), "value"),
    "one linear unit and yes or no": (seen(labels="zero_one"), "binary"),
    "one linear unit and two names": (seen(has_two_names=True), "binary"),
    "one sigmoid": (SIGMOID, "binary"),
    "one sigmoid and shares": (seen(SIGMOID, labels="numbers"), "value"),
    "one sigmoid of 0 to 120": (seen(SIGMOID, limits=(0.0, 120.0)), "value"),
    "one sigmoid in percent, of two names": (seen(SIGMOID, limits=(0.0, 100.0), has_two_names=True), "binary"),
    "sigmoids trained on each label": (seen(SIGMOID, units=5, loss="binary"), "multi_label"),
    "sigmoids trained on classes": (seen(SIGMOID, units=5, loss="classes"), "classes"),
    "sigmoids and several labels": (seen(SIGMOID, units=5, labels="several"), "multi_label"),
    "sigmoids trained on values": (seen(SIGMOID, units=5, loss="value"), "value"),
    "a direction": (seen(units=2, unit_length=True, loss="value"), "value"),
}


@pytest.mark.parametrize("case", DECIDED)
def test_what_the_evidence_says_is_taken(case):
    evidence, kind = DECIDED[case]
    assert output_kind_of(evidence, "auto")[0] == kind


OPEN = {
    "one linear unit": (LINEAR, ("binary", "value")),
    "a loss of values, labels of a decision": (seen(loss="value", labels="zero_one"), ("binary", "value")),
    "a loss of a decision, labels of values": (seen(loss="binary", labels="numbers"), ("binary", "value")),
    "one sigmoid trained on squares": (seen(SIGMOID, loss="value"), ("binary", "value")),
    "one sigmoid and ages": (seen(SIGMOID, labels="indices"), ("binary", "value")),
    "one sigmoid in percent": (seen(SIGMOID, limits=(0.0, 100.0)), ("binary", "value")),
    "one sigmoid of 0 to 120 trained on a decision": (
        seen(SIGMOID, limits=(0.0, 120.0), loss="binary"),
        ("binary", "value"),
    ),
    "sigmoids": (seen(SIGMOID, units=5), ("classes", "multi_label")),
    "sigmoids and one name each": (seen(SIGMOID, units=5, labels="names"), ("classes", "multi_label")),
    "sigmoids trained on classes, several labels": (
        seen(SIGMOID, units=5, loss="classes", labels="several"),
        ("classes", "multi_label"),
    ),
    "sigmoids trained on values, names": (
        seen(SIGMOID, units=5, loss="value", labels="names"),
        ("multi_label", "value"),
    ),
    "linear units and one fraction each": (seen(units=5, labels="numbers"), ("classes", "value")),
    "linear units trained on values, names": (seen(units=5, loss="value", labels="names"), ("classes", "value")),
    "linear units and several labels": (seen(units=5, labels="several"), ("classes", "multi_label")),
    "a unit vector of two": (seen(units=2, unit_length=True), ("value",)),
}


@pytest.mark.parametrize("case", OPEN)
def test_what_is_open_is_refused_with_the_readings_and_the_remedy(case):
    evidence, readings = OPEN[case]
    with pytest.raises(ModelRefused) as refused:
        output_kind_of(evidence, "auto")
    message = str(refused.value)
    assert message.endswith(f"Set {' or '.join(f'model.output_kind: {reading}' for reading in readings)}.")
    assert ("says nothing of its training loss" in message) == (evidence.loss is None)


@pytest.mark.parametrize("case", [case for case in OPEN if OPEN[case][0].units > 1 and not OPEN[case][0].unit_length])
def test_what_is_open_is_what_the_user_says(case):
    evidence, readings = OPEN[case]
    for reading in readings:
        assert output_kind_of(evidence, reading) == (reading, ())


def test_an_embedding_is_refused_with_the_reason():
    with pytest.raises(ModelRefused, match=r"is an embedding .a vector of length one for every image.*no class whose"):
        output_kind_of(seen(units=128, unit_length=True), "auto")
    with pytest.raises(ModelRefused, match="single numbers of an embedding mean nothing"):
        output_kind_of(seen(units=128), "embedding")
    assert output_kind_of(seen(units=128, unit_length=True), "classes")[0] == "classes"


def test_an_ordinal_head_is_refused_by_name():
    with pytest.raises(ModelRefused, match="an ordinal head, as of CORAL: all its units are one number plus a const"):
        output_kind_of(seen(SIGMOID, units=4, move_together=True, loss="binary"), "auto")
    ordinal = dataclasses.replace(LINEAR, units=4, loss="ordinal", loss_name="ordinal_crossentropy")
    with pytest.raises(ModelRefused, match="trained with the loss ordinal_crossentropy"):
        output_kind_of(ordinal, "auto")
    assert output_kind_of(ordinal, "multi_label")[0] == "multi_label"


@pytest.mark.parametrize(
    ("evidence", "asked", "remedy"),
    [
        (Evidence("scores", 5, "softmax"), "multi_label", "classes"),
        (Evidence("scores", 2, "softmax"), "binary", "classes"),
        (seen(SIGMOID, units=5), "binary", "multi_label"),
        (SIGMOID, "multi_label", "binary"),
    ],
)
def test_what_cannot_be_is_refused_whoever_says_it(evidence, asked, remedy):
    with pytest.raises(ModelRefused, match=f"Set model.output_kind: {remedy}, or name another output"):
        output_kind_of(evidence, asked)


def test_two_classes_of_one_unit_are_binary():
    assert output_kind_of(SIGMOID, "classes")[0] == "binary"
