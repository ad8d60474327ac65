import numpy as np
import pytest
from fakes import FakeModel

from transforms.explain.batches import BatchExplainer
from transforms.explain.tally import Tally
from transforms.records import ImageFailure, Status


class Choking(FakeModel):
    """Fails on images whose first pixel is 255, and remembers the shapes that it was asked for."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def explain(self, images, targets):
        self.shapes.append(images.shape[0])
        if (images[:, 0, 0, 0] == 255).any():
            raise RuntimeError("choked")
        return super().explain(images, targets)


class ResourceExhaustedError(Exception):
    """Called as TensorFlow's."""


class Small(FakeModel):
    """Runs out of memory above three images."""

    def explain(self, images, targets):
        if len(images) > 3:
            raise ResourceExhaustedError("OOM when allocating tensor")
        return super().explain(images, targets)


def images(*first_pixels: int) -> np.ndarray:
    batch = np.full((len(first_pixels), 8, 8, 3), 7, np.uint8)
    batch[:, 0, 0, 0] = first_pixels
    return batch


def explain(model, batch, batch_size):
    explainer, tally = BatchExplainer(model, batch_size), Tally()
    outcomes = list(explainer.explain(batch, np.full((len(batch), 1), -1, np.int32), tally))
    covered = [index for part, _ in outcomes for index in range(part.start, part.stop)]
    assert covered == list(range(len(batch)))  # every image once, in order
    return outcomes, tally.events(), explainer


def test_a_short_batch_is_padded_to_the_one_shape_and_the_padding_is_dropped():
    model = Choking()
    outcomes, events, _ = explain(model, images(1, 2, 3), 8)
    assert model.shapes == [8]
    ((part, explanation),) = outcomes
    assert part == slice(0, 3)
    assert explanation.cams.shape == (3, 1, 2, 2)
    assert events == {"batches": 1, "padded_images": 5}


@pytest.mark.parametrize("culprits", [(0,), (4,), (2, 3), (0, 1, 2, 3, 4)])
def test_a_batch_that_fails_is_halved_until_the_culprits_are_alone(culprits):
    batch = images(*(255 if i in culprits else i for i in range(5)))
    outcomes, _, _ = explain(Choking(), batch, 5)
    failed = {part.start for part, outcome in outcomes if isinstance(outcome, ImageFailure)}
    assert failed == set(culprits)
    for _, outcome in outcomes:
        if isinstance(outcome, ImageFailure):
            assert (outcome.status, outcome.message, outcome.error_type) == (
                Status.MODEL_ERROR, "choked", "RuntimeError")  # fmt: skip


def test_out_of_memory_halves_the_batch_size_for_good():
    outcomes, events, explainer = explain(Small(), images(*range(8)), 8)
    assert not any(isinstance(outcome, ImageFailure) for _, outcome in outcomes)
    assert explainer.batch_size == 2
    assert events["out_of_memory_backoffs"] == 2
    tally = Tally()
    list(explainer.explain(images(1, 2), np.full((2, 1), -1, np.int32), tally))
    assert tally.events() == {"batches": 1, "padded_images": 0}


def test_out_of_memory_with_one_image_is_that_images_row():
    class NoMemory(FakeModel):
        def explain(self, images, targets):
            raise MemoryError

    outcomes, _, explainer = explain(NoMemory(), images(1, 2), 2)
    assert [outcome.error_type for _, outcome in outcomes] == ["MemoryError", "MemoryError"]
    assert explainer.batch_size == 1
