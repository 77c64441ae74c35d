"""Patients are drawn with all their images, always the same ones, and in little memory."""

import tracemalloc

import numpy as np

from trainer.metrics.bootstrap import Resamples


def test_each_draw_is_one_of_the_patients_with_all_their_images():
    patients = ["b", "a", "c", "a", "c", "c", "d"]
    found = Resamples(patients, seed=5, resamples=50).measure(lambda counts: counts)
    drawn = np.random.default_rng(5).integers(4, size=(50, 4))  # all at once
    expected = [[np.sum(draw == "abcd".index(p)) for p in patients] for draw in drawn]
    np.testing.assert_array_equal(found, [[1] * 7, *expected])


def test_images_are_measured_in_the_order_that_is_asked():
    resamples = Resamples(list("abcdef"), seed=0, resamples=40)
    every, some = resamples.measure(list), resamples.measure(list, np.array([4, 0, 0]))
    np.testing.assert_array_equal(some, every[:, [4, 0, 0]])


def test_drawing_takes_little_more_memory_than_two_bytes_a_patient_and_draw():
    patients = [f"p{number}" for number in range(20_000)]
    tracemalloc.start()
    try:
        resamples = Resamples(patients, seed=0, resamples=200)
        resamples.measure(lambda counts: [counts.mean()])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2 * 200 * 20_000
