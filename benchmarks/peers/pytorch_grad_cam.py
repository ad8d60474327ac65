"""pytorch-grad-cam on torch's CPU build: the same weights in the PyTorch model that they come from."""

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from pytorch_grad_cam import GradCAM

from benchmarks.peers.serve import Explain, scaled, serve


def prepare(images: np.ndarray, state: dict[str, np.ndarray]) -> Explain:
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, strict=False)
    model.eval()
    pixels = torch.from_numpy(scaled(images).transpose(0, 3, 1, 2).copy())
    gradcam = GradCAM(model=model, target_layers=[model._bn1])
    return lambda: gradcam(input_tensor=pixels, targets=None)


serve(prepare)
