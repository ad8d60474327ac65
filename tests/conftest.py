import os

import hypothesis

# Before the first test imports TensorFlow by itself: as transforms.model.tensorflow sets it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

hypothesis.settings.register_profile("any machine", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("any machine")
