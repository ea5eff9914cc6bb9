"""A table of predictions is whole, in both formats."""

from pathlib import Path

import pandas as pd
import pytest

from artifacts.errors import UsageError
from artifacts.storage.store import Ref, Store
from tasks.prediction.classifier import Prediction
from tasks.prediction.predictions_table import locate_table, write_table
from tasks.registry.versions import Version

VERSION = Version.model_construct(version=3, dataset="digits", weights=Ref(sha256="a" * 64, kind="weights.h5"))


@pytest.mark.parametrize("name", ["table.parquet", "TABLE.CSV"])
def test_every_prediction_is_a_row(name: str, store: Store, tmp_path: Path) -> None:
    """Predictions of all shards are rows, in their order, with the model; classes have their names too; names
    that are not UTF-8 have escapes.
    """
    shards = [
        [Prediction(image="a.png", label=7, name="cat", runner_up_name="dog", probability=0.9, changes=("x", "y"))],
        [Prediction(image="b\udcff.png", error="is blank")],
    ]
    refs = [store.put_json([prediction.model_dump(mode="json") for prediction in shard]) for shard in shards]
    written = write_table(refs, VERSION, f"{tmp_path}/{name}", store)
    assert (written.images, written.errors, written.model, written.dataset) == (2, 1, 3, "digits")
    table = (pd.read_csv if name.endswith("CSV") else pd.read_parquet)(tmp_path / name)
    assert table.image.tolist() == ["a.png", "b\\udcff.png"] and table.changes[0] == "x; y"
    assert (table.name[0], table.runner_up_name[0]) == ("cat", "dog")
    assert table.label[0] == 7 and pd.isna(table.label[1]) and table.error[1] == "is blank"
    assert set(table.model) == {3} and set(table.weights) == {"a" * 64}


def test_unsure(store: Store, tmp_path: Path) -> None:
    """With a probability, each row that was read says whether it is below it; without one, none does."""
    rows = [Prediction(image=str(i), label=7, probability=i / 4) for i in range(4)] + [
        Prediction(image="x", error="no")
    ]
    ref = store.put_json([row.model_dump(mode="json") for row in rows])
    write_table([ref], VERSION, f"{tmp_path}/with.parquet", store, unsure_below=0.5)
    write_table([ref], VERSION, f"{tmp_path}/without.parquet", store)
    told = [pd.read_parquet(tmp_path / f"{name}.parquet").unsure.tolist() for name in ("with", "without")]
    assert told == [[True, True, False, False, None], [None] * 5]


def test_unknown_suffix() -> None:
    """A name without a known suffix is refused."""
    with pytest.raises(UsageError, match="names no table"):
        locate_table("table.xlsx")
