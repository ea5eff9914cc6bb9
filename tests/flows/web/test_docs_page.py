"""The page for programs says what the schema says."""

import html
import re

from fastapi import FastAPI

from flows.web.docs_page import docs_page
from flows.web.schemas import Answer, Asked


def test_says_what_the_schema_says() -> None:
    """Each field of a request and of its answer is named, once, and nothing of the schema becomes HTML."""
    app = FastAPI()

    @app.post("/read", description="<b>Read</b> it, `code`")
    def read(asked: Asked) -> Answer:
        raise NotImplementedError

    page = docs_page(app.openapi(), "http://127.0.0.1:1").html
    rows = re.findall(r"<th scope=row><code>(\w+)</code>", page)
    assert rows == [*Asked.model_fields, *Answer.model_fields]
    assert "&lt;b&gt;Read&lt;/b&gt; it, <code>code</code>" in page and "{{" not in page
    assert "curl http://127.0.0.1:1/read" in html.unescape(page)
