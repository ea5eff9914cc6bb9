"""A real champion agrees with right labels and doubts wrong ones; where it cannot be asked, the reason is kept."""

import pytest

from artifacts.errors import ArtifactLost
from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.registry.versions import Version
from tasks.retraining.judgement.label_judge import LabelJudge, why_not_judged
from tests.tasks.retraining.conftest import Batch


def test_real_labels(store: Store, base: Splits, champion: Version, new_digits: Batch) -> None:
    """New digits with their own labels pass; with labels off by one, all but a few disagree."""
    judge, (images, labels) = LabelJudge(champion, base.test, store), new_digits
    right, wrong = judge.check(images, labels), judge.check(images, (labels + 1) % 10)
    assert not right.is_suspicious and right.test_images == 297
    assert wrong.is_far and wrong.disagreements > 270 and wrong.champion == 3


def test_why_not(store: Store, base: Splits, champion: Version) -> None:
    """No champion, other classes, another size, and lost weights are reasons, and each is named."""
    assert why_not_judged(champion, base, 10, store) == ""
    assert "no champion" in why_not_judged(None, base, 10, store)
    assert "other classes" in why_not_judged(champion, base, 11, store)
    other_size = champion.model_copy(update={"image_shape": (28, 28)})
    assert "another size" in why_not_judged(other_size, base, 10, store)
    renamed = champion.model_copy(update={"class_names": tuple("abcdefghij")})
    assert why_not_judged(renamed, base, 10, store) == ""  # the data set calls its classes by their numbers
    turned = base.model_copy(update={"class_names": tuple("jihgfedcba")})
    assert "other classes" in why_not_judged(renamed, turned, 10, store)
    store.path(champion.weights).unlink()
    assert "gone" in why_not_judged(champion, base, 10, store)
    with pytest.raises(ArtifactLost):
        LabelJudge(champion, base.test, store).check(store.get(base.test.images), store.get(base.test.labels))
