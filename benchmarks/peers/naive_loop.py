"""What one writes on a first afternoon: read, resize, an eager tape, colour, save; image after image.

Arguments: a file with a path a line, a .npz with the weights of EfficientNet-Lite0, a folder for the overlays.
"""

import sys
import time
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.peers.serve import keras_lite0, scaled


def main() -> None:
    paths = Path(sys.argv[1]).read_text().splitlines()
    model = keras_lite0(dict(np.load(sys.argv[2])))
    model.layers[-1].activation = None
    grad_model = keras.Model(model.inputs, [model.get_layer("top_activation").output, model.output])
    _explain(paths[0], grad_model, sys.argv[3])
    print("ready", flush=True)  # noqa: T201
    for _ in sys.stdin:
        start = time.perf_counter()
        for path in paths:
            _explain(path, grad_model, sys.argv[3])
        print((time.perf_counter() - start) / len(paths), flush=True)  # noqa: T201


def _explain(path: str, grad_model: keras.Model, folder: str) -> None:
    photo = np.asarray(Image.open(path).convert("RGB"))
    pixels = np.asarray(Image.fromarray(photo).resize((224, 224)))
    with tf.GradientTape() as tape:
        features, scores = grad_model(scaled(pixels)[None])
        score = scores[:, tf.argmax(scores[0])]
    weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2))
    cam = tf.nn.relu(tf.reduce_sum(features * weights[:, None, None], axis=-1))[0].numpy()
    heatmap = cv2.resize(cam / (cam.max() + 1e-8), (photo.shape[1], photo.shape[0]))
    colors = cv2.cvtColor(cv2.applyColorMap(np.uint8(255 * heatmap), cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    overlay = Image.fromarray(cv2.addWeighted(photo, 0.6, colors, 0.4, 0))
    overlay.save(Path(folder, Path(path).stem + ".jpg"), quality=90)


main()
