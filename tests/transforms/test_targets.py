import pytest

from transforms.records import ImageRef, Status, image_id_of
from transforms.targets import Classes, TargetPolicy, UnknownClassError, label_index_of, targets_of

CLASSES = Classes(4, ("cat", "dog", "crane", "crane"))


def ref(**known) -> ImageRef:
    return ImageRef("a.jpg", image_id_of("a.jpg"), **known)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("predicted", TargetPolicy("predicted")),
        ("label", TargetPolicy("label")),
        ("top_k:3", TargetPolicy("top_k", 3)),
        ([1, "cat"], TargetPolicy("listed", 2, ("1", "cat"))),
        (7, TargetPolicy("listed", 1, ("7",))),
    ],
)
def test_policies_are_read_as_written(written, expected):
    assert TargetPolicy.parse(written) == expected


@pytest.mark.parametrize("written", ["top_k", "top_k:0", "top_k:-1", "top_k:x", "all", [], ""])
def test_other_policies_are_refused(written):
    with pytest.raises(ValueError, match="target class"):
        TargetPolicy.parse(written)


def test_a_class_is_found_by_name_or_index():
    assert [CLASSES.index_of(text) for text in ("cat", " dog ", "3")] == [0, 1, 3]
    assert Classes(3, ("2", "0", "1")).index_of("0") == 1  # a name wins over an index


@pytest.mark.parametrize(
    ("text", "says"), [("4", "0 to 3"), ("cow", "no class is called"), ("crane", r"\[2, 3\]"), ("-1", "no class")]
)
def test_a_class_that_cannot_be_meant_is_explained(text, says):
    with pytest.raises(UnknownClassError, match=says):
        CLASSES.index_of(text)
    with pytest.raises(UnknownClassError, match="model has none"):
        Classes(4).index_of("cat")


def test_ranks_stand_for_the_classes_that_the_model_finds():
    assert targets_of(ref(), TargetPolicy.parse("predicted"), CLASSES).codes == (-1,)
    assert targets_of(ref(), TargetPolicy.parse("top_k:3"), CLASSES).codes == (-1, -2, -3)


def test_the_manifest_line_wins_over_the_job_and_each_class_counts_once():
    targets = targets_of(ref(targets=("dog", "1", "cat")), TargetPolicy.parse("top_k:3"), CLASSES)
    assert (targets.codes, targets.reason, targets.failure) == ((1, 0), "listed", None)


def test_bad_classes_fail_and_the_good_ones_beside_them_are_explained():
    targets = targets_of(ref(targets=("dog", "cow", "99")), TargetPolicy.parse("predicted"), CLASSES)
    assert targets.codes == (1,)
    assert targets.failure.status == Status.BAD_TARGET
    assert "cow" in targets.failure.message
    assert "99" in targets.failure.message


def test_the_label_is_the_target_where_asked_for():
    policy = TargetPolicy.parse("label")
    assert targets_of(ref(label="dog"), policy, CLASSES).codes == (1,)
    missing = targets_of(ref(), policy, CLASSES)
    assert missing.codes == ()
    assert "the manifest line has none" in missing.failure.message


def test_a_label_that_the_model_lacks_is_no_label():
    assert label_index_of(ref(label="dog"), CLASSES) == 1
    assert label_index_of(ref(label="cow"), CLASSES) is None
    assert label_index_of(ref(), CLASSES) is None
