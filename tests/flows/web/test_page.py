"""The page is complete, and offers the formats that are decoded."""

from flows.web.page import drawing_page
from tasks.data.images import FORMATS


def test_formats() -> None:
    """The file picker offers each format that pictures are decoded from."""
    html = drawing_page().html
    types = ",".join(f"image/{name.lower()}" for name in FORMATS)
    assert "{{" not in html and f'accept="{types}"' in html and "image/webp" in types
