import os

# As transforms.model.tensorflow sets it; a test module that imports Keras first would be too late.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
