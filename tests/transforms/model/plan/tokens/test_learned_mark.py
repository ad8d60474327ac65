"""A transformer that learned something: its map points at what it learned, and at nothing where it is scrambled.

The class of a picture is the pattern of a small mark at a random place; everything else is noise.
"""

import keras
import numpy as np
import pytest
import transformers as models
from keras import layers
from small_models import explained, planned, traced

SIZE, MARK, PATCH, CLASSES = 32, 8, 4, 4
PATTERNS = np.array(
    [
        [[0, 1], [0, 1]],  # two columns
        [[0, 0], [1, 1]],  # two rows
        [[0, 1], [1, 0]],  # crossed
        [[1, 0], [0, 1]],
    ],
    np.float32,
)


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint8 pictures, their classes, and the top left corner of the mark: anywhere, on the patches or between them."""
    noise = np.random.default_rng(seed)
    images = noise.integers(90, 166, (count, SIZE, SIZE, 3)).astype(np.uint8)
    classes = noise.integers(0, CLASSES, count)
    corners = noise.integers(0, SIZE - MARK + 1, (count, 2))
    for image, kind, (top, left) in zip(images, classes, corners, strict=True):
        mark = np.kron(PATTERNS[kind], np.ones((MARK // 2, MARK // 2)))
        image[top : top + MARK, left : left + MARK] = (255 * mark[..., None]).astype(np.uint8)
    return images, classes, corners


def transformer(head: str) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 64, -2.0)(image)
    x = layers.Conv2D(32, PATCH, strides=PATCH, name="embed")(x)
    x = layers.Reshape((-1, 32))(x)
    x = models.Prefix(1, name="prefix")(x) if head == "class" else x
    x = models.Position(name="position")(x)
    for number in range(3):
        x = models.block(x, number, heads=4)
    x = layers.LayerNormalization(name="norm")(x)
    x = x[:, 0] if head == "class" else layers.GlobalAveragePooling1D()(x)
    return keras.Model(image, layers.Dense(CLASSES, name="scores")(x))


def trained(head: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    images, classes, _ = pictures(20000, seed=1)
    model = transformer(head)
    steps = 20 * len(images) // 128
    rate = keras.optimizers.schedules.CosineDecay(1e-4, steps, warmup_target=2e-3, warmup_steps=300)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=1.0), loss)
    model.fit(images, classes, batch_size=128, epochs=20, verbose=0)
    return model


def hits(model: keras.Model, method: str, images: np.ndarray, classes: np.ndarray, corners: np.ndarray) -> float:
    """Share of pictures whose largest cell lies on the mark; one without a positive cell is a miss."""
    found = explained(planned(traced(model), method=method), images, classes[:, None])["cams"][:, 0]
    cell = SIZE / found.shape[1]
    count = 0
    for cam, (top, left) in zip(found, corners, strict=True):
        row, column = np.unravel_index(cam.argmax(), cam.shape)
        inside = [s - cell / 2 <= (at + 0.5) * cell <= s + MARK + cell / 2 for at, s in ((row, top), (column, left))]
        count += all(inside) and cam.max() > 0
    return count / len(found)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["class", "mean"])
def test_the_peak_lies_on_the_mark_that_decides_and_not_where_the_weights_are_scrambled(head):
    model = trained(head)
    images, classes, corners = pictures(200, seed=2)
    predicted = model.predict(images.astype(np.float32), verbose=0).argmax(1)
    assert (predicted == classes).mean() > 0.9
    right = predicted == classes
    images, classes, corners = images[right], classes[right], corners[right]
    middle = np.all((corners <= SIZE / 2 + PATCH / 2) & (corners + MARK >= SIZE / 2 - PATCH / 2), 1).mean()
    method = "hirescam"
    found = hits(model, method, images, classes, corners)
    assert found >= 0.9
    assert found > middle + 0.3
    noise = np.random.default_rng(3)
    for weight in model.trainable_weights:
        weight.assign(noise.permutation(weight.numpy().ravel()).reshape(weight.shape))
    assert hits(model, method, images, classes, corners) < 0.5
