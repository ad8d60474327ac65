"""What finishing a batch counts, with the fake model."""

import dataclasses

import numpy as np
from fakes import CARD, FakeModel

from transforms.explain.batches import ExplainedBatch
from transforms.explain.finish import GUARDED_CHANNELS, finish_batch
from transforms.explain.loading import LoadedImage
from transforms.explain.settings import ExplainSettings
from transforms.explain.tally import Tally
from transforms.placement import place
from transforms.records import ImageRef, image_id_of
from transforms.table.location import TableLocation
from transforms.table.schema import statistics_schema
from transforms.targets import ImageTargets


def loaded(name: str, codes: tuple[int, ...]) -> LoadedImage:
    pixels = np.full((8, 8, 3), 50, np.uint8)
    ref = ImageRef(name, image_id_of(name))
    return LoadedImage(ref, ImageTargets(codes, "listed"), "", 1, place(8, 8, 8, 8, "stretch"), pixels, None)


def test_guarded_channels_count_for_maps_that_have_rows_and_for_no_other():
    images = [loaded("one", (2,)), loaded("two", (0, 1))]
    inputs = np.stack([image.model_input for image in images])
    explanation = FakeModel().explain(inputs, np.array([[2, -1], [0, 1]], np.int32))
    guarded = np.array([[3, 100], [0, 4]], np.int32)  # image one asks for one class: its second map has no row
    batch = ExplainedBatch(images, dataclasses.replace(explanation, guarded=guarded))
    settings, tally = ExplainSettings(TableLocation("out", "r1", "fake"), statistics_schema()), Tally()
    rows = finish_batch(batch, CARD, settings, lambda uri, content: None, tally)
    assert rows["target_index"].to_pylist() == [2, 0, 1]
    assert tally.events() == {GUARDED_CHANNELS: 7}
