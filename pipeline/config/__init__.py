"""The configuration of a job: YAML in, one typed value out."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.config.read import checked_config, load_config, redacted
    from pipeline.config.schema import DEMO_MANIFEST, Compare, Config, ConfigError, Run

__all__ = ["DEMO_MANIFEST", "Compare", "Config", "ConfigError", "Run", "checked_config", "load_config", "redacted"]
__getattr__ = lazy_face(__name__, __file__)
