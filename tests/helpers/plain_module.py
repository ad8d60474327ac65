"""A classifier without Keras; run as a script, it saves one, its scores and its maps in a process of its own."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

CLASSES = 5
SPEC = tf.TensorSpec([None, 32, 32, 3], tf.float32, name="photo")


def images(count: int = 3, size: int = 32) -> np.ndarray:
    """float32 [count, size, size, 3]: pixels, whole numbers of 0..255."""
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3)).astype(np.float32)


class Plain(tf.Module):
    """No Keras: two functions over variables."""

    def __init__(self):
        super().__init__()
        rng = tf.random.Generator.from_seed(3)
        self.kernel = tf.Variable(rng.normal([3, 3, 3, 8]) * 0.01)
        self.dense = tf.Variable(rng.normal([8, CLASSES]))

    def features(self, photo):
        return tf.nn.relu(tf.nn.conv2d(photo, self.kernel, 2, "SAME"))

    @tf.function
    def __call__(self, photo, training=False):
        x = self.features(photo)
        if training:
            x = tf.nn.dropout(x, 0.5)
        return tf.nn.softmax(tf.reduce_mean(x, [1, 2]) @ self.dense)

    def cams(self, photos, target):
        """Signed Grad-CAM by a tape, one image at a time."""
        maps = []
        for photo in photos:
            features = self.features(photo[None])
            with tf.GradientTape() as tape:
                tape.watch(features)
                score = (tf.reduce_mean(features, [1, 2]) @ self.dense)[0, target]
            weights = tf.reduce_mean(tape.gradient(score, features), [1, 2], keepdims=True)
            maps.append(tf.reduce_sum(features * weights, -1)[0])
        return np.stack(maps)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="encoded")])
    def from_strings(self, encoded):
        decode = lambda string: tf.image.resize(tf.io.decode_jpeg(string, 3), [32, 32])  # noqa: E731
        return self(tf.map_fn(decode, encoded, fn_output_signature=tf.float32))


if __name__ == "__main__":
    folder, module = Path(sys.argv[1]), Plain()
    tf.saved_model.save(module, folder / "m", signatures=module.__call__.get_concrete_function(SPEC))
    np.save(folder / "scores.npy", module(images()))
    np.save(folder / "cams.npy", module.cams(images(), target=2))
