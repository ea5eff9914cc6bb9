"""A version is read from its record, whatever digitflow wrote that; an unreadable record keeps what it shows."""

import json
from typing import Any

import pytest

from artifacts.storage.store import Ref
from tasks.registry.versions import RegisteredModel, UnreadableVersion, Version, VersionRow
from tests.tasks.registry.conftest import candidate

WEIGHTS = Ref(sha256="cd" * 32, kind="weights.h5")


def read(record: str | None) -> Version | UnreadableVersion:
    """The version with that record, number 3 of `digits` and its champion."""
    row = VersionRow(3, 1_000, None, record)
    (version,) = RegisteredModel("digitflow-digits", {"champion": 3}, {}, [row]).versions()
    assert (version.version, version.aliases, version.created.timestamp()) == (3, ("champion",), 1)
    return version


def record(**changes: Any) -> str:
    return json.dumps(json.loads(candidate(WEIGHTS).to_record()) | changes)


def test_record() -> None:
    """A record reads as the candidate that wrote it, and has a schema number and the names that MLflow's tags use."""
    version = read(record())
    assert isinstance(version, Version)
    assert {name: getattr(version, name) for name in type(candidate(WEIGHTS)).model_fields} == dict(candidate(WEIGHTS))
    written = json.loads(version.to_record())
    assert written["schema_version"] == 1 and written["opponent"]["absence"] == "no champion yet"
    assert "decisions" in written["opponent"] and not {"version", "aliases", "baseline"} & written.keys()
    assert "opponent" in version.model_dump(mode="json")


def test_record_without_schema_number() -> None:
    """A record of the time before schema numbers is read, and a field that a later digitflow adds is passed over."""
    fields = json.loads(record(mood="good"))
    del fields["schema_version"]
    assert isinstance(read(json.dumps(fields)), Version)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (record(hyperparameters={"momentum": 0.9}), "hyperparameters.momentum"),
        (record(hyperparameters={"activation": "mish"}), "hyperparameters.activation"),
        (record(schema_version=2), "schema 2"),
        (record(weights=None), "weights"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ("oops", "Expecting value"),
        (None, "not registered by digitflow"),
    ],
)
def test_unreadable_record(text: str | None, reason: str) -> None:
    """A record that does not validate gives an unreadable version with the reason, in the data set of its model."""
    version = read(text)
    assert isinstance(version, UnreadableVersion)
    assert reason in version.unreadable and version.dataset == "digits"


def test_what_an_unreadable_record_shows() -> None:
    """Weights, test images, verdict and reason of an unreadable record are still known where they are valid."""
    version = read(record(hyperparameters={"momentum": 0.9}, passed=False))
    assert isinstance(version, UnreadableVersion)
    assert (version.weights, version.test, version.passed, version.reason) == (WEIGHTS, "ab" * 32, False, "because")
    damaged = read(record(weights=7, test=None))
    assert isinstance(damaged, UnreadableVersion) and (damaged.weights, damaged.test) == (None, None)
