"""Sound data come through with a report; other data stop the run with one."""

import numpy as np
import pytest

from artifacts.errors import InvalidData
from artifacts.storage.store import Store
from tasks.data.quality import DataReport
from tasks.data.validate import validate
from tests.conftest import Arrays
from tests.tasks.conftest import splits


def test_sound_data_come_through(store: Store, digits: Arrays) -> None:
    """Real digits come out unchanged, with a stored report of as many images as there are."""
    data = splits(digits, store)
    validated = validate.fn(data, 10, store)
    report = DataReport.model_validate(store.get_json(validated.report))
    assert validated.data == data and not report.errors
    assert report.train and report.train.classes == tuple(np.bincount(digits[1]))
    assert report.test and report.test.images == len(digits[2])


def test_bad_data_are_refused_with_all_reasons(store: Store, digits: Arrays) -> None:
    """The error names every problem at once, and its report lists the images concerned."""
    train_x, train_y, test_x, test_y = digits
    labels = np.where(np.arange(len(train_y)) == 7, np.uint8(11), train_y)
    with pytest.raises(InvalidData) as caught:
        validate.fn(splits((train_x, labels, test_x[:0], test_y[:0]), store), 10, store)
    assert "must be below 10" in str(caught.value) and "test images: there are none" in str(caught.value)
    report = DataReport.model_validate(caught.value.report)
    assert [(p.split, p.check, p.images) for p in report.errors] == [
        ("train", "label-range", (7,)),
        ("test", "empty", ()),
        ("test", "empty", ()),
    ]
