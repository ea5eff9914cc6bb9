"""Which pages does a browser show, and what may they do?"""

import base64
import hashlib
import re
from importlib.resources import files

from flows.web.request_guard import MAX_BODY
from tasks.data.images import FORMATS

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
NOTHING_ELSE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src data:"
CARD_HEADERS = HEADERS | {"Content-Security-Policy": f"{NOTHING_ELSE}; style-src 'unsafe-inline'"}
"""Of a model's report, whose figures have styles of their own. No script runs in it."""


class Page:
    """A page, and headers that let it load and run nothing but itself."""

    def __init__(self, file: str, texts: dict[str, str]) -> None:
        """Read a page of this folder, and put each text, which is HTML, where the page names it in double braces."""
        self.html = (files("flows.web") / file).read_text()
        for name, text in texts.items():
            self.html = self.html.replace(f"{{{{{name}}}}}", text)
        digests = "; ".join(f"{tag}-src {self._digest(tag)}" for tag in ("script", "style"))
        self.headers = HEADERS | {"Content-Security-Policy": f"{NOTHING_ELSE}; {digests}; connect-src 'self'"}

    def _digest(self, tag: str) -> str:
        """The digest of the page's one element of that tag; 'none' if it has none."""
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", self.html, re.DOTALL)
        if not contents:
            return "'none'"
        (content,) = contents
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def drawing_page() -> Page:
    """The page on which to draw."""
    types = ",".join(f"image/{format.lower()}" for format in FORMATS)
    largest = MAX_BODY * 3 // 4 - 1024  # base64 makes four bytes of three, and JSON is around it
    return Page("page.html", {"picture types": types, "largest picture": str(largest)})
