import pytest

from transforms.records import ImageRef
from transforms.targets import Classes, TargetPolicy, UnknownClassError, targets_of
from transforms.true_labels import has_unknown_label, true_classes_of, true_values_of

CLASSES = Classes(4, ("cat", "dog", "grass", "plate;dish"))
VALUES = Classes(2, None, are_values=True)


def ref(label=None, labels=None, targets=None) -> ImageRef:
    return ImageRef("u", "0", label=label, labels=labels, targets=targets)


@pytest.mark.parametrize(
    ("image", "true", "unknown"),
    [
        (ref(), None, False),
        (ref("dog"), (1,), False),
        (ref("grass;cat", ("grass", "cat")), (0, 2), False),
        (ref("plate;dish", ("plate", "dish")), (3,), False),
        (ref("cat;zebra", ("cat", "zebra")), (0,), True),
        (ref("cat;0", ("cat", "0")), (0,), False),
        (ref(labels=()), (), False),
    ],
)
def test_all_that_is_true_of_an_image(image, true, unknown):
    assert true_classes_of(image, CLASSES) == true
    assert has_unknown_label(image, CLASSES) == unknown


@pytest.mark.parametrize(
    ("image", "values", "unknown"),
    [
        (ref("0.5;-3", ("0.5", "-3")), (0.5, -3.0), False),
        (ref("0.5;old", ("0.5", "old")), (0.5, None), True),
        (ref("0.5"), (None, None), True),
        (ref("nan;2", ("nan", "2")), (None, 2.0), True),
        (ref(), (None, None), False),
    ],
)
def test_the_values_of_a_label(image, values, unknown):
    assert true_values_of(image, 2) == values
    assert has_unknown_label(image, VALUES) == unknown


def test_label_targets_are_all_true_classes():
    policy = TargetPolicy.parse("label")
    assert targets_of(ref("grass;cat", ("grass", "cat")), policy, CLASSES).codes == (2, 0)
    assert targets_of(ref("plate;dish", ("plate", "dish")), policy, CLASSES).codes == (3,)
    nothing = targets_of(ref(labels=()), policy, CLASSES)
    assert (nothing.codes, nothing.reason, nothing.failure) == ((-1,), "predicted", None)
    partly = targets_of(ref("cat;zebra", ("cat", "zebra")), policy, CLASSES)
    assert partly.codes == (0,)
    assert "no class is called 'zebra'" in partly.failure.message


def test_classes_above_a_probability_are_ranks_until_the_scores_are_known():
    policy = TargetPolicy.parse("above:0.25")
    assert (policy.reason, policy.above, str(policy)) == ("above", 0.25, "above:0.25")
    targets = targets_of(ref(), policy, CLASSES)
    assert (targets.codes, targets.above) == ((-1, -2, -3, -4), 0.25)
    assert targets_of(ref(targets=("dog",)), policy, CLASSES).above is None


@pytest.mark.parametrize("text", ["above", "above:", "above:0", "above:1.5", "above:half", "above:nan", "above:-1"])
def test_what_is_no_probability_is_refused(text):
    with pytest.raises(ValueError, match=r"above:P with a probability such as 0.5"):
        TargetPolicy.parse(text)


def test_all_values_are_explained_unless_some_are_listed():
    for policy in ("predicted", "label"):
        targets = targets_of(ref("3"), TargetPolicy.parse(policy), VALUES)
        assert (targets.codes, targets.reason) == ((0, 1), "value")
    assert targets_of(ref(targets=("1",)), TargetPolicy.parse("predicted"), VALUES).codes == (1,)
    assert targets_of(ref(), TargetPolicy.parse([1]), VALUES).codes == (1,)


@pytest.mark.parametrize("policy", ["top_k:2", "above:0.5"])
def test_values_have_no_rank_and_no_probability(policy):
    with pytest.raises(UnknownClassError, match=f"{policy} is for classes, but the model gives 2 values"):
        TargetPolicy.parse(policy).check(VALUES)
