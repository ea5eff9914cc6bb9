"""Drift is found where a population shifted, and not by chance."""

from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.retraining.judgement.drift import measure_drift
from tests.tasks.retraining.conftest import Batch


def test_drift(store: Store, base: Splits, new_digits: Batch) -> None:
    """Images of the same kind do not drift; thinner ink, a slant or other labels do."""
    images, labels = new_digits
    before = store.get(base.train.images), store.get(base.train.labels)
    assert not any(drift.is_drift for drift in measure_drift(before, new_digits))
    changed = {
        "mean": (images // 3, labels),
        "slant": (images[:, ::-1, :], labels),
        "label": (images[labels < 3], labels[labels < 3]),
    }
    for statistic, batch in changed.items():
        assert statistic in {drift.statistic for drift in measure_drift(before, batch) if drift.is_drift}
