"""The launch side of beam-gradcam: command line, config, runners, progress and summary."""
