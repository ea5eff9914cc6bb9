"""Which requests can programs send? A page says it, from the app's OpenAPI schema."""

import json
import re
import shlex
from html import escape
from typing import Any

from flows.web.page import Page

Schema = dict[str, Any]


def docs_page(schema: Schema, address: str) -> Page:
    """A page that lists the paths of an OpenAPI schema. `address` is that of the app, such as http://127.0.0.1:8000."""
    requests = [
        _section(method.upper(), path, operation, schema, address)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    return Page("docs.html", {"requests": "\n".join(requests)})


def _section(method: str, path: str, operation: Schema, schema: Schema, address: str) -> str:
    body = _model(operation.get("requestBody", {}), schema)
    status, reply = next(iter(operation["responses"].items()))
    answer = _model(reply, schema)
    return (
        f"<section><h2><code>{method} {escape(path)}</code></h2><p>{_prose(operation)}</p>"
        f"<pre>{escape(example(method, address + path, body))}</pre>"
        f"{_table('It takes', body)}{_table(f'It answers, with status {status}', answer)}</section>"
    )


def example(method: str, url: str, body: Schema) -> str:
    """A command that sends a request, with the schema's examples as its body."""
    words = ["curl", *(["--request", method] if method == "DELETE" else []), url.replace("{number}", "NUMBER")]
    if method != "GET":
        words += ["--header", "Content-Type: application/json"]
    if body:
        fields = {name: of["examples"][0] for name, of in body["properties"].items() if "examples" in of}
        words += ["--data", json.dumps(fields)]
    return shlex.join(words)


def _model(content: Schema, schema: Schema) -> Schema:
    """The schema of the JSON of a request or an answer; of a list, that of its elements. Empty if it is none."""
    found = content.get("content", {}).get("application/json", {}).get("schema", {})
    found = found.get("items", found)
    name = found.get("$ref", "").rpartition("/")[2]
    model: Schema = schema["components"]["schemas"].get(name, {})
    return model


def _table(title: str, model: Schema) -> str:
    if not model:
        return ""
    rows = "".join(
        f"<tr><th scope=row><code>{escape(name)}</code></th>"
        f"<td>{_type(of)}{'' if name in model.get('required', ()) else ', optional'}</td><td>{_prose(of)}</td></tr>"
        for name, of in model["properties"].items()
    )
    return f"<h3>{escape(title)}</h3><p>{_prose(model)}</p><table>{rows}</table>"


def _prose(of: Schema) -> str:
    """A description as HTML, in which backticks stand around code."""
    return re.sub(r"`(.+?)`", r"<code>\1</code>", escape(of.get("description", "")))


def _type(field: Schema) -> str:
    """The JSON type of a field, in words."""
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if field.get("type") == "array":
        inner = field.get("items") or field.get("prefixItems", [{}])[0]
        return f"list of {_type(inner)}"
    return escape(field.get("type", "object"))
