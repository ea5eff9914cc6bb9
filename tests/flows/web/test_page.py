"""The page is complete, and offers the formats that are decoded."""

from flows.web.page import Page
from tasks.data.images import FORMATS


def test_formats() -> None:
    """The file picker offers each format that pictures are decoded from."""
    html = Page().html
    assert "{{" not in html and 'accept="image/png,image/jpeg,image/bmp"' in html
    assert len(FORMATS) == 3
