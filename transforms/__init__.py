"""The worker side of beam-gradcam: everything that a runner's worker executes. Never imports ``pipeline``."""
