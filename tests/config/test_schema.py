"""Every field knows what it may hold, and what may change when a run is resumed."""

import pytest

from trainer.config import schema
from trainer.system.errors import UsageError


def test_every_default_is_allowed():
    schema.check(schema.default())


def test_a_bad_value_inside_a_config_file_is_refused():
    changed = schema.default()
    changed.train.epochs = 0
    with pytest.raises(UsageError, match=r"train\.epochs"):
        schema.check(changed)


@pytest.mark.parametrize("path", ["schedule.warmup_epochs", "optimizer.clip_norm"])
def test_a_number_too_large_to_compute_with_is_refused(path: str):
    changed = schema.default()
    changed.update_from_flattened_dict({path: 1e308})
    with pytest.raises(UsageError, match=rf"{path}=1e\+308 is not allowed .*from 0 to 1"):
        schema.check(changed)


def test_loggers_are_some_of_those_there_are():
    for names in ("", "terminal", "terminal,tensorboard,mlflow,wandb"):
        schema.check_field("loggers", names)
    for names in ("comet", "terminal, tensorboard", "terminal,"):
        with pytest.raises(UsageError, match=f"loggers='{names}' .* of terminal, tensorboard, mlf"):
            schema.check_field("loggers", names)


@pytest.mark.parametrize("path", ["loss.name", "model.name", "name", "distribute.tpu"])
def test_a_text_that_is_needed_is_not_empty(path: str):
    with pytest.raises(UsageError, match=rf"{path}='' is not allowed .*: give "):
        schema.parse(path, "")


def test_a_run_is_not_taken_up_with_other_numbers():
    begun = schema.default().to_dict()
    changed = schema.default()
    changed.data.cache, changed.loggers = "none", "terminal"
    schema.check_same_run(changed, begun)
    changed.optimizer.learning_rate = 0.5
    with pytest.raises(UsageError, match=r"optimizer\.learning_rate=0\.001, not 0\.5"):
        schema.check_same_run(changed, begun)


def test_a_run_may_get_longer_where_that_changes_no_step_of_before():
    begun = schema.default()
    longer = schema.default()
    longer.train.epochs = begun.train.epochs + 1
    schema.check_same_run(longer, begun.to_dict())
    with pytest.raises(UsageError, match=r"train\.epochs=21, not 20"):
        schema.check_same_run(begun, longer.to_dict())
    begun.schedule.name = longer.schedule.name = "cosine"
    with pytest.raises(UsageError, match=r"schedule\.name=cosine"):
        schema.check_same_run(longer, begun.to_dict())


def test_a_run_older_than_a_field_goes_on_at_the_fields_default():
    begun = schema.default().to_dict()
    del begun["data"]["fit"]
    now = schema.default()
    schema.check_same_run(now, begun)
    now.data.fit = "crop"
    with pytest.raises(UsageError, match=r"data\.fit='squash', not 'crop'"):
        schema.check_same_run(now, begun)


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("profile.steps", "10,20", "20,10"),
        ("profile.steps", "0,1", "10"),
        ("report.references", "the article accuracy=0.9", "accuracy=0.9"),
        ("report.references", "a auc=0.9; b auc=0.8 sensitivity=1", "a auc=90"),
    ],
)
def test_texts_of_a_form_are_checked(path: str, good: str, bad: str):
    given = schema.default()
    given.update_from_flattened_dict({path: good})
    schema.check(given)
    given.update_from_flattened_dict({path: bad})
    with pytest.raises(UsageError, match=f"{path}=.*is not allowed"):
        schema.check(given)


@pytest.mark.parametrize(
    ("fields", "least"),
    [
        ({"model.name": "article", "data.image_size": 45}, 46),
        ({"augment.blur_range": 16.0, "data.image_size": 16}, 48),
        ({"augment.blur_range": 5.4, "data.image_size": 16}, 17),
    ],
)
def test_images_too_small_for_what_is_done_with_them_are_refused(fields: dict, least: int):
    given = schema.default()
    given.update_from_flattened_dict(fields)
    with pytest.raises(UsageError, match=rf"--config\.data\.image_size={least} or more"):
        schema.check(given)
    given.data.image_size = least
    schema.check(given)


def test_a_strength_that_takes_a_range_too_far_is_refused():
    config = schema.default()
    config.augment.zoom_range, config.augment.strength = 0.4, 2.0
    schema.check(config)
    config.augment.strength = 3.0
    with pytest.raises(UsageError, match=r"strength=3 makes 1.2 of augment.zoom_range=0.4, where"):
        schema.check(config)


@pytest.mark.parametrize(("batch", "replicas"), [(1, 1), (6, 2), (36, 8)])
def test_images_are_mixed_only_where_each_replica_has_whole_pairs(batch: int, replicas: int):
    config = schema.default()
    config.train.batch_size, config.augment.cutmix = batch, 1.0
    with pytest.raises(UsageError, match=r"into pairs of images \(augment.cutmix\): give"):
        schema.check_global_batch(config, replicas)
    config.train.batch_size = 2 * batch * replicas
    schema.check_global_batch(config, replicas)
