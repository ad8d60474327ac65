import numpy as np
import pytest
import small_models
import tensorflow as tf

from transforms.model.errors import ModelRefused
from transforms.model.graph.flatten import flatten_function
from transforms.model.graph.graph_def import import_graph
from transforms.model.plan.scores import find_scores

LAST_KERNEL = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
UNIT_KERNEL = LAST_KERNEL[:, :1]


def logits_of(images, kernel=LAST_KERNEL):
    return tf.identity(tf.reduce_mean(images, [1, 2]) @ kernel, name="logits")


def scores_of(function, output=None):
    traced = small_models.traced_function(function)
    flat = flatten_function(traced.function)
    graph = import_graph(flat.graph_def)
    scores = find_scores(graph, flat, traced.outputs, output)
    return scores, graph.get_tensor_by_name(scores.tensor).op.type


def spelled_out(logits):
    exponential = tf.exp(logits - tf.reduce_max(logits, 1, keepdims=True))
    return exponential / tf.reduce_sum(exponential, 1, keepdims=True)


@pytest.mark.parametrize(
    ("head", "activation"),
    [
        (tf.nn.softmax, "softmax"),
        (tf.nn.log_softmax, "softmax"),
        (lambda z: tf.math.log(tf.nn.softmax(z)), "softmax"),
        (spelled_out, "softmax"),
        (lambda z: tf.cast(tf.nn.softmax(z), tf.float64), "softmax"),
        (lambda z: tf.clip_by_value(tf.nn.softmax(z), 1e-7, 1 - 1e-7), "softmax"),
        (lambda z: tf.squeeze(tf.nn.softmax(tf.reshape(z, [-1, 1, 1, 4])), [1, 2]), "softmax"),
        (tf.sigmoid, "sigmoid"),
        (lambda z: z, "none"),
        (tf.nn.relu, "none"),
    ],
)
def test_the_activation_is_peeled_off(head, activation):
    scores, producer = scores_of(lambda images: head(logits_of(images)))
    assert (scores.activation, scores.units, scores.class_count) == (activation, 4, 4)
    assert producer in ({"MatMul", "Reshape"} if activation != "none" else {"MatMul", "RealDiv", "Relu"})


def test_a_single_sigmoid_unit_decides_between_two_classes():
    scores, _ = scores_of(lambda images: tf.sigmoid(logits_of(images, UNIT_KERNEL)))
    assert (scores.activation, scores.units, scores.class_count) == ("sigmoid", 1, 2)


def test_a_softmax_over_one_unit_is_no_score():
    with pytest.raises(ModelRefused, match="No output of the model is one score per class"):
        scores_of(lambda images: tf.nn.softmax(logits_of(images, UNIT_KERNEL)))


def test_the_output_is_chosen_by_name():
    def model(images):
        logits = logits_of(images)
        return {"animal": tf.nn.softmax(logits), "colour": tf.sigmoid(logits[:, :2])}

    assert scores_of(model, "colour")[0].class_count == 2
    with pytest.raises(ModelRefused, match=r"several outputs.*animal \[batch, 4\], colour \[batch, 2\]"):
        scores_of(model)
    with pytest.raises(ModelRefused, match="no output 'shape'"):
        scores_of(model, "shape")


def test_the_best_scores_are_not_the_scores_of_all_classes():
    def model(images):
        values, indices = tf.math.top_k(tf.nn.softmax(logits_of(images)), 2)
        return {"values": values, "indices": indices}

    with pytest.raises(ModelRefused, match="only its best classes must be exported with the scores of all"):
        scores_of(model)


def test_logits_beside_their_probabilities_are_one_output():
    def model(images):
        logits = logits_of(images)
        return {"logits": logits, "probabilities": tf.nn.softmax(logits), "class": tf.argmax(logits, 1)}

    scores, _ = scores_of(model)
    assert (scores.output, scores.activation) == ("probabilities", "softmax")


@pytest.mark.parametrize("function", [lambda x: x * 2.0, lambda x: x[:, 0], lambda x: tf.reduce_mean(x)])
def test_outputs_without_one_score_per_class_are_refused(function):
    with pytest.raises(ModelRefused, match="needs a classifier head"):
        scores_of(function)


def test_one_number_for_each_image_is_the_score_of_one_unit():
    scores, _ = scores_of(lambda images: tf.sigmoid(logits_of(images, UNIT_KERNEL))[:, 0])
    assert (scores.activation, scores.units, scores.class_count) == ("sigmoid", 1, 2)


def test_one_number_beside_the_scores_of_all_classes_is_none_of_them():
    def model(images):
        probabilities = tf.nn.softmax(logits_of(images))
        return {"confidence": tf.reduce_max(probabilities, 1), "probabilities": probabilities}

    scores, _ = scores_of(model)
    assert (scores.output, scores.units) == ("probabilities", 4)
    assert scores_of(model, "confidence")[0].units == 1
