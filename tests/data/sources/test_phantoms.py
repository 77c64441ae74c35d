"""Phantoms come as the public archive does."""

import pickle

from trainer.data import sources


def test_phantoms_are_synthetic_and_alike_each_time():
    one, two = sources.open_source("phantom:20"), sources.open_source("phantom:20")
    assert one.synthetic and not one.identifying
    assert one.classes == ("NORMAL", "PNEUMONIA")
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != sources.open_source("phantom:24").fingerprint
    sent = pickle.loads(pickle.dumps(one))
    assert sent.records() == one.records() == two.records()
    record = one.records()[3]
    assert sent.read(record) == one.read(record) == two.read(record)


def test_phantoms_have_the_public_splits_and_patients():
    records = sources.open_source("phantom:40").records()
    assert {r.split for r in records} == {"train", "test"}
    assert all(r.patient for r in records)
