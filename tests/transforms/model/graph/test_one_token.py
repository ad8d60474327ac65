"""Where the scores read one token, one is computed: the same numbers from smaller products."""

import keras
import numpy as np
import pytest
import transformers
from keras import layers, ops
from slow import slow_but_for
from small_models import explained, planned, relative_error, traced

from transforms.model.cam.dry_run import folded_graph
from transforms.model.cam.explainer import Explainer
from transforms.model.graph import evaluate, fold_graph, head_behind, import_graph, with_read_tokens

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3)).astype(np.uint8)
PRODUCTS = ("MatMul", "BatchMatMulV2", "Einsum")


def products_of_all_tokens(plan, graph) -> int:
    """Behind the target layer, the matrix products with a row of their result for each of the tokens or more."""
    head = head_behind(graph.graph_def, plan.target.tensor, plan.scores.tensor)
    names = [node.name for node in head.graph_def.node if node.op in PRODUCTS]
    arrays = graph.weights | {graph.input.partition(":")[0]: IMAGES[:1].astype(np.float32)}
    values = evaluate(graph.graph_def, arrays, [f"{name}:0" for name in names])
    return sum(value.size // value.shape[-1] >= 24 for value in values.values())


@pytest.mark.parametrize(("kind", "prefix"), slow_but_for([("class", 1)], [("class", 1), ("distilled", 2)]))
def test_of_the_last_block_only_keys_and_values_are_of_all_tokens(kind, prefix):
    plan = planned(traced(transformers.vit(kind, prefix, depth=1)))
    whole = fold_graph(plan.flat, plan.keep)
    graph, _ = folded_graph(plan)
    assert products_of_all_tokens(plan, whole) == 8  # query, key, value, two of attention, output, two Dense layers
    assert products_of_all_tokens(plan, graph) == 2
    results = [Explainer(plan, each).explain(IMAGES, [[0, -1]] * 3) for each in (whole, graph)]
    for name in ("cams", "scores", "evidence", "kept_probabilities", "removed_probabilities"):
        np.testing.assert_allclose(*(result[name].numpy() for result in results), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["mean", "map"])
def test_where_all_tokens_are_read_nothing_changes(kind):
    plan = planned(traced(transformers.vit(kind, depth=1)))
    graph = fold_graph(plan.flat, plan.keep)
    assert with_read_tokens(graph, plan.target.tensor, plan.keep) is graph


@pytest.mark.slow
def test_attention_maps_that_a_method_is_made_of_stay_whole():
    plan = planned(traced(transformers.vit("class", depth=1)), method="legrad")
    graph, _ = folded_graph(plan)
    known = {operation.name for operation in import_graph(graph.graph_def).get_operations()}
    assert {name.partition(":")[0] for name in plan.keep} <= known
    found = explained(plan, IMAGES, [[1]] * 3)["cams"]
    whole = Explainer(plan, fold_graph(plan.flat, plan.keep)).explain(IMAGES, [[1]] * 3)["cams"].numpy()
    assert relative_error(found, whole) < 1e-4
    assert found.max() > 0


READS = [
    lambda x: x[:, 0],
    lambda x: x[:, 4],
    lambda x: ops.mean(x, axis=1),
    lambda x: ops.squeeze(x[:, 1:2], 1),
    lambda x: (x * ops.sigmoid(x))[:, 1],
    lambda x: layers.Dense(7, activation="gelu")(ops.softmax(x, axis=1))[:, 1],
    lambda x: ops.cumsum(x, axis=1)[:, 3],
    lambda x: ops.transpose(layers.Dense(26)(ops.transpose(x, (0, 2, 1))), (0, 2, 1))[:, 1],
]


def test_the_numbers_are_the_same_whatever_is_read_of_the_tokens():
    """Also beside each other, through sums over all tokens, and through what no rule knows."""
    image = keras.Input((32, 48, 3))
    x = transformers.Position()(transformers.Prefix(2)(transformers.patches(image, 8, 16)))
    x = layers.LayerNormalization(name="norm")(transformers.block(x, 0))
    read = layers.Concatenate()([read(x) for read in READS])
    model = transformers.varied(keras.Model(image, layers.Dense(5, name="scores")(read)))
    plan = planned(traced(model), target_layer="block0_norm1")
    whole = fold_graph(plan.flat, plan.keep)
    graph = with_read_tokens(whole, plan.target.tensor, plan.keep)
    assert sum("of_one_token" in node.name for node in graph.graph_def.node) > 50
    results = [Explainer(plan, each).explain(IMAGES, [[2]] * 3) for each in (whole, graph)]
    assert relative_error(results[1]["cams"].numpy(), results[0]["cams"].numpy()) < 1e-4
    for result in results:
        expected = model.predict(IMAGES.astype(np.float32), verbose=0)
        np.testing.assert_allclose(result["scores"], expected, rtol=1e-3, atol=1e-4)
