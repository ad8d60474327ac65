"""The launch side: the command line, the config, runs, audits."""
