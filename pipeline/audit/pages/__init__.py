"""The HTML pages and their pictures."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.pages import pictures
    from pipeline.audit.pages.page import fill_page

__all__ = ["fill_page", "pictures"]
__getattr__ = lazy_face(__name__, __file__)
