"""``python -m pipeline`` is ``beam-gradcam``."""

from pipeline.cli import main

main()
