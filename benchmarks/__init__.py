"""How fast beam-gradcam is, beside what a user would otherwise pick: ``python -m benchmarks``."""
