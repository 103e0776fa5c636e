"""Fixtures that tests of several rooms share."""

from tests.browser import browser, page

__all__ = ["browser", "page"]
