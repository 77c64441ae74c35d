"""The step does what the config says, alike on one replica and on two."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.checkpoint import checkpoint
from trainer.config import schema
from trainer.data import data_split, device_cache, pipeline
from trainer.models.batch_normalization import BatchNormalization
from trainer.training import step
from trainer.training.global_batch import Batch
from trainer.training.state import State, create_state

STEPS = 8


@pytest.fixture(scope="module")
def new_tiny(new_tiny: Callable[[], ConfigDict]) -> Callable[[], ConfigDict]:
    """The same without what takes long to compile, as every test here compiles its own steps."""

    def smaller() -> ConfigDict:
        config = new_tiny()
        config.model.stages, config.augment = 1, schema.default().augment
        return config

    return smaller


def trained(
    strategy: tf.distribute.Strategy,
    config: ConfigDict,
    loops: tuple[int, ...] = (1, STEPS - 1),
    *,
    classes: int = 0,
    batches: Iterator[Batch] | None = None,
) -> tuple[State, list[step.LoopResult]]:
    """Returns what a new network comes to in loops of so many steps, and what each returned.

    With `classes`, each image is of one of so many, which exclude one another. It trains on other
    `batches` than the host's where they are given.
    """

    def of_one_class(batch: Batch) -> Batch:
        sick = tf.cast(batch["label"][:, 0], tf.int32)
        return batch | {"label": tf.one_hot(sick * (1 + batch["row"] % (classes - 1)), classes)}

    with strategy.scope():
        state = create_state(config, 2 * STEPS, STEPS, outputs=classes or 1)
    change = {"change": of_one_class} if classes else {}
    take_steps, sent = prepared(strategy, state, config, exclusive=classes > 0, **change)
    return state, [take_steps(batches or sent, steps) for steps in loops]


@pytest.fixture(scope="module")
def by_gradient_descent(new_tiny: Callable[[], ConfigDict]) -> ConfigDict:
    """Without Adam, which turns gradients of rounding size into whole steps; not to be changed.

    With augmentations, one of geometry and one of tone.
    """
    config = new_tiny()
    config.augment.jit_compile = False
    config.augment.rotation_range, config.augment.contrast_range = 20.0, 0.2
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.01
    return config


@pytest.fixture(scope="module")
def on_one_device(by_gradient_descent: ConfigDict) -> tuple[State, list[step.LoopResult]]:
    return trained(tf.distribute.OneDeviceStrategy("CPU:0"), by_gradient_descent)


@pytest.fixture(scope="module")
def on_two_replicas(
    by_gradient_descent: ConfigDict, two_replicas: tf.distribute.Strategy
) -> tuple[State, list[step.LoopResult]]:
    return trained(two_replicas, by_gradient_descent)


def prepared(
    strategy: tf.distribute.Strategy,
    state: State,
    config: ConfigDict,
    *,
    start_step: int = 0,
    change: Callable[[Batch], Batch] = lambda batch: batch,
    exclusive: bool = False,
) -> tuple[Callable, Iterator[Batch]]:
    split = data_split.open_split(config.data.path, "train")
    pixels = pipeline.pixels(split, config.data.image_size, "host")

    def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        batch_size = config.train.batch_size
        return pipeline.train_batches(
            pixels,
            batch_size,
            seed=config.seed,
            epochs=4,
            start_step=start_step,
            context=context,
            parts=config.train.accumulate,
        ).map(change)

    iterator = iter(strategy.distribute_datasets_from_function(batches))
    take_steps = step.train_loop(
        strategy, state, config, class_weights=(1.3, 0.8), exclusive=exclusive
    )
    return take_steps, iterator


def weights(state: State) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in state.variables().items()}


def largest_difference(one: State, other: State) -> float:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    return max(np.abs(ours[name].astype(np.float64) - theirs[name]).max() for name in ours)


def test_one_replica_and_two_arrive_at_the_same_weights(
    on_one_device: tuple[State, list[step.LoopResult]],
    on_two_replicas: tuple[State, list[step.LoopResult]],
    two_replicas: tf.distribute.Strategy,
):
    one, one_results = on_one_device
    two, two_results = on_two_replicas
    assert int(one.step.numpy()) == int(two.step.numpy()) == STEPS
    assert largest_difference(one, two) < 1e-5
    for average in two.averaged.variables:
        first, second = two_replicas.experimental_local_results(average.value)
        np.testing.assert_array_equal(first, second)
    for ours, theirs in zip(one_results, two_results, strict=True):
        np.testing.assert_allclose(ours.losses, theirs.losses, atol=1e-5)
        np.testing.assert_allclose(ours.scores.logits, theirs.scores.logits, atol=1e-4)
        np.testing.assert_array_equal(ours.scores.labels, theirs.scores.labels)


@pytest.mark.parametrize("trained_from_host", ["on_one_device", "on_two_replicas"])
def test_pixels_on_the_devices_train_to_the_same_weights(
    by_gradient_descent: ConfigDict,
    one_device: tf.distribute.Strategy,
    two_replicas: tf.distribute.Strategy,
    request: pytest.FixtureRequest,
    trained_from_host: str,
):
    host, host_results = request.getfixturevalue(trained_from_host)
    strategy = one_device if trained_from_host == "on_one_device" else two_replicas
    config = by_gradient_descent
    split = data_split.open_split(config.data.path, "train")
    batches = device_cache.train_batches(
        device_cache.DevicePixels(
            *pipeline.arrays(split, config.data.image_size, fit_mode="squash"), strategy
        ),
        config.train.batch_size,
        seed=config.seed,
        epochs=4,
    )
    state, results = trained(strategy, config, batches=batches)
    # On one device bit for bit; on two, a loaded processor adds in another order at times.
    tolerance = 0.0 if strategy is one_device else 1e-7
    assert largest_difference(host, state) <= tolerance
    for ours, theirs in zip(host_results, results, strict=True):
        np.testing.assert_allclose(
            ours.scores.columns(), theirs.scores.columns(), rtol=0, atol=10 * tolerance
        )


def test_training_moves_every_weight(
    by_gradient_descent: ConfigDict, on_one_device: tuple[State, list[step.LoopResult]]
):
    moved = weights(on_one_device[0])
    for name, before in weights(create_state(by_gradient_descent, 2 * STEPS, STEPS)).items():
        assert not np.array_equal(moved[name], before), name


def test_how_steps_are_grouped_into_loops_changes_nothing(
    by_gradient_descent: ConfigDict,
    on_one_device: tuple[State, list[step.LoopResult]],
    one_device: tf.distribute.Strategy,
):
    other, _ = trained(one_device, by_gradient_descent, loops=(3, 3, STEPS - 6))
    assert largest_difference(on_one_device[0], other) == 0


@pytest.mark.slow
def test_a_step_in_parts_on_two_replicas_equals_the_whole_step_for_exclusive_classes_too(
    by_gradient_descent: ConfigDict,
    one_device: tf.distribute.Strategy,
    two_replicas: tf.distribute.Strategy,
):
    config = by_gradient_descent.copy_and_resolve_references()
    config.model.name, config.data.image_size = "article", 48  # without batch normalisation
    whole, whole_results = trained(one_device, config, classes=3)
    config.train.accumulate = 2
    in_parts, results = trained(two_replicas, config, classes=3)
    assert largest_difference(whole, in_parts) < 1e-5
    for ours, theirs in zip(results, whole_results, strict=True):
        np.testing.assert_allclose(ours.losses, theirs.losses, atol=1e-5)
        np.testing.assert_array_equal(ours.scores.labels, theirs.scores.labels)
    for total in in_parts.accumulated:  # else the next step would begin with it
        assert all(np.all(v.numpy() == 0) for v in two_replicas.experimental_local_results(total))


@pytest.mark.slow
def test_half_precision_learns_what_float32_learns(
    by_gradient_descent: ConfigDict,
    on_one_device: tuple[State, list[step.LoopResult]],
    one_device: tf.distribute.Strategy,
):
    _, expected = on_one_device
    config = by_gradient_descent.copy_and_resolve_references()
    for config.precision in ("mixed_bfloat16", "mixed_float16"):
        state, results = trained(one_device, config)
        assert all(variable.dtype == tf.float32 for variable in state.model.trainable_variables)
        for ours, theirs in zip(results, expected, strict=True):
            assert np.isfinite(ours.losses).all()
            np.testing.assert_allclose(ours.losses.mean(), theirs.losses.mean(), rtol=0.1)
    # That of a scaled loss, in float16, is as long as that of the loss.
    assert results[0].gradient_norm == pytest.approx(expected[0].gradient_norm, rel=0.1)


def test_a_step_that_overflows_is_skipped_halves_the_loss_scale_and_resumes_exactly(
    tiny: ConfigDict, one_device: tf.distribute.Strategy, tmp_path: Path
):
    tiny.precision = "mixed_float16"
    state = create_state(tiny, 2 * STEPS, STEPS)
    begun = weights(state)
    too_large = 2.0**40
    state.optimizer.dynamic_scale.assign(too_large)
    loop, batches = prepared(one_device, state, tiny)
    result = loop(batches, 3)
    assert state.skipped_steps == 3 and int(state.step.numpy()) == 3
    assert np.isfinite(result.losses).all()
    assert state.loss_scale == too_large / 8
    for variable in state.model.trainable_variables:
        np.testing.assert_array_equal(variable.numpy(), begun[f"model/{variable.path}"])
    state.optimizer.dynamic_scale.assign(1.0)
    loop(batches, 9)
    assert state.skipped_steps == 3  # it goes on
    folder = epath.Path(tmp_path) / "checkpoint"
    checkpoint.write(folder, weights(state), {})
    loop(batches, 4)
    unbroken = weights(state)
    for variable in state.variables().values():
        variable.assign(tf.zeros_like(variable))
    checkpoint.restore(folder, state.variables())
    assert state.skipped_steps == 3
    loop(prepared(one_device, state, tiny, start_step=12)[1], 4)
    for name, value in weights(state).items():
        np.testing.assert_array_equal(value, unbroken[name], name)


def test_where_one_replica_overflows_both_skip_the_step(
    tiny: ConfigDict, two_replicas: tf.distribute.Strategy
):
    """Keras asks the first replica alone, whose gradient is finite here."""
    tiny.precision = "mixed_float16"
    state, _ = trained(two_replicas, tiny, loops=())
    replica_step = step.ReplicaStep(state, tiny)

    def overflow_on_the_second() -> None:
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        value = tf.where(number == 1, np.inf, 0.0)
        variables = state.model.trainable_variables
        replica_step._update([tf.fill(v.shape, value) for v in variables] + [tf.zeros(())])

    begun = weights(state)
    tf.function(lambda: two_replicas.run(overflow_on_the_second))()
    assert int(state.optimizer.iterations.numpy()) == 0
    for variable in state.model.trainable_variables:
        for replica in two_replicas.experimental_local_results(variable.value):
            np.testing.assert_array_equal(replica.numpy(), begun[f"model/{variable.path}"])


def broken(batch: Batch) -> Batch:
    """The batch with a weight that makes loss and gradient infinite in its last row alone."""
    rows = tf.cast(batch["row"], tf.float32)
    return batch | {"weight": tf.where(rows == 15.0, np.float32(np.inf), batch["weight"])}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradient_that_is_not_finite_reaches_no_weight_of_any_replica(
    tiny: ConfigDict, two_replicas: tf.distribute.Strategy, accumulate: int
):
    tiny.train.batch_size, tiny.train.accumulate = 16, accumulate
    with two_replicas.scope():
        state = create_state(tiny, 2 * STEPS, STEPS)
    loop, batches = prepared(two_replicas, state, tiny, change=broken)
    result = loop(batches, 2)
    assert not np.isfinite(result.losses).any() and not result.finite.any()
    for name, variable in state.variables().items():
        for replica in two_replicas.experimental_local_results(variable):
            assert np.isfinite(replica.numpy()).all(), name
    _, sound = prepared(two_replicas, state, tiny)
    assert loop(sound, 2).finite.all()


def test_moments_that_are_not_finite_reach_no_moving_average():
    layer = BatchNormalization()
    images = np.random.default_rng(0).normal(size=(4, 2, 2, 3)).astype("f4")
    layer(images, training=True)
    before = [v.numpy() for v in layer.non_trainable_variables]
    images[0, 0, 0, 1] = np.inf
    assert not np.isfinite(layer(images, training=True)).all()
    for variable, former in zip(layer.non_trainable_variables, before, strict=True):
        assert np.isfinite(variable).all()
        np.testing.assert_array_equal(variable.numpy() == former, [False, True, False])


@pytest.mark.parametrize("source", ["augment.noise_range", "model.dropout"])
def test_each_step_draws_anew(tiny: ConfigDict, one_device: tf.distribute.Strategy, source: str):
    config = schema.default()
    config.data.path, config.train.batch_size = tiny.data.path, 8
    config.data.image_size, config.model.width, config.model.stages = 32, 4, 2
    config.update_from_flattened_dict({source: 0.5, "optimizer.learning_rate": 1e-30})
    state = create_state(config, 10, 10)
    replica_step = step.ReplicaStep(state, config)
    batch = next(prepared(one_device, state, config)[1])
    logits = []
    for state_step in (3, 4, 3):
        state.step.assign(state_step)
        logits.append(replica_step(batch).scores[:, 0].numpy())
    np.testing.assert_array_equal(logits[0], logits[2])
    assert np.abs(logits[0] - logits[1]).min() > 0


@pytest.mark.parametrize("slow", ["input", "step"])
def test_waiting_for_input_is_measured(
    tiny: ConfigDict,
    one_device: tf.distribute.Strategy,
    monkeypatch: pytest.MonkeyPatch,
    slow: str,
):
    def pause(value: tf.Tensor) -> tf.Tensor:
        tf.py_function(lambda: time.sleep(0.1), [], [])
        return value

    if slow == "step":
        plain = step.images_to_float
        monkeypatch.setattr(step, "images_to_float", lambda images: plain(pause(images)))
    with one_device.scope():
        state = create_state(tiny, 10, 10)
    loop = step.train_loop(one_device, state, tiny)
    pixels = pipeline.pixels(data_split.open_split(tiny.data.path, "train"), 32, "host")

    def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        fast = pipeline.train_batches(
            pixels, tiny.train.batch_size, seed=0, epochs=4, context=context
        )
        return fast.map(pause) if slow == "input" else fast

    iterator = iter(one_device.distribute_datasets_from_function(batches))
    loop(iterator, 1)
    result = loop(iterator, 10)
    assert result.seconds > 0.9
    if slow == "input":
        assert result.wait_seconds > 0.3  # some are fetched ahead
    else:
        assert result.wait_seconds < 0.5 * result.seconds


@pytest.mark.slow
def test_the_first_step_is_clipped_as_a_whole_measured_and_averaged(
    tiny: ConfigDict, one_device: tf.distribute.Strategy, two_replicas: tf.distribute.Strategy
):
    tiny.optimizer.name = "sgd"
    tiny.optimizer.learning_rate = 0.1
    tiny.schedule.warmup_epochs = 0.0
    for strategy, tiny.train.accumulate, tiny.optimizer.clip_norm, tiny.train.ema in (
        (one_device, 1, 0.0, 0.05),
        (two_replicas, 2, 0.01, 0.9),
    ):
        with strategy.scope():
            state = create_state(tiny, 2 * STEPS, STEPS)
        begun = weights(state)
        loop, batches = prepared(strategy, state, tiny)
        result = loop(batches, 1)

        variables = state.model.trainable_variables
        before = [begun[f"model/{variable.path}"] for variable in variables]
        moved = np.sqrt(
            sum(np.sum((v.value.numpy() - b) ** 2) for v, b in zip(variables, before, strict=True))
        )
        step_norm = tiny.optimizer.clip_norm or result.gradient_norm
        assert step_norm <= result.gradient_norm
        # Nesterov's first step goes 1 + 0.9 times the gradient.
        assert moved == pytest.approx(step_norm * 0.1 * 1.9, rel=1e-3)
        length = np.sqrt(sum(np.sum(b**2) for b in before))
        assert result.update_ratio == pytest.approx(moved / length, rel=1e-3)

        keep = min(tiny.train.ema, 2 / 11)  # (1 + 1) / (10 + 1) at first
        for average, variable in zip(state.averaged.variables, state.model.variables, strict=True):
            expected = begun[f"averaged/{average.path}"] * keep
            expected += (1 - keep) * variable.value.numpy()
            np.testing.assert_allclose(average.value.numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("device", "jit", "deterministic", "whole"),
    [
        ("GPU:0", "auto", False, True),
        ("GPU:0", "auto", True, False),
        ("GPU:0", "off", False, False),
        ("CPU:0", "auto", False, False),
        ("CPU:0", "on", False, True),
    ],
)
def test_the_whole_step_is_compiled_on_one_gpu_or_where_it_is_asked_for(
    tiny: ConfigDict, device: str, jit: str, deterministic: bool, whole: bool
):
    tiny.train.jit, tiny.train.deterministic = jit, deterministic
    strategy = tf.distribute.OneDeviceStrategy(device)
    assert step.compiles_step(strategy, tiny.train) is whole


def test_the_step_of_several_replicas_is_never_compiled_as_a_whole(
    tiny: ConfigDict, two_replicas: tf.distribute.Strategy
):
    tiny.train.jit = "on"
    assert not step.compiles_step(two_replicas, tiny.train)


@pytest.mark.slow
def test_the_loop_of_a_compiled_step_learns_what_plain_ops_learn(by_gradient_descent: ConfigDict):
    config = by_gradient_descent.copy_and_resolve_references()
    config.augment = schema.default().augment  # which takes XLA longest
    config.data.image_size, config.model.stages, config.train.accumulate = 16, 1, 2
    losses = []
    for config.train.jit in ("off", "on"):
        _, loops = trained(tf.distribute.OneDeviceStrategy("CPU:0"), config, (4,))
        losses.append(loops[0].losses)
    np.testing.assert_allclose(*losses, atol=1e-5)
    assert np.ptp(losses[0]) > 1e-3
