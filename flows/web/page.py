"""Which page does a browser show, and what may the page do?"""

import base64
import hashlib
import re
from importlib.resources import files

from tasks.data.images import FORMATS


class Page:
    """The page, and headers that let it load and run nothing but itself."""

    def __init__(self) -> None:
        types = ",".join(f"image/{format.lower()}" for format in FORMATS)
        self.html = (files("flows.web") / "page.html").read_text().replace("{{picture types}}", types)
        script, style = (self._digest(tag) for tag in ("script", "style"))
        self.headers = {
            "Content-Security-Policy": f"default-src 'none'; script-src {script}; style-src {style}; img-src data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }

    def _digest(self, tag: str) -> str:
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", self.html, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
