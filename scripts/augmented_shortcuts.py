"""Measures what of a data set's shortcuts is left in the images that a network is trained on.

    python scripts/augmented_shortcuts.py --recipe=article --recipe=resnet --data=DATA

prints how well the audit's features predict the label from the images as they are fitted to the
recipe's square, and as its augmentation changes them in the first epoch: the AUC learnt from some
patients of train for others, and, in brackets, the AUC in test of what was learnt in train, which
is fitted and not augmented. What cannot be told from the augmented images cannot be learnt.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from trainer.commands import program
from trainer.commands.command import Command

GROUPS = ("border darkness", "mean and contrast", "encoding seen in the pixels", "fine structure")
BATCH = 32

_RECIPES = flags.DEFINE_multi_string("recipe", ["resnet"], "recipes or config files")
_DATA = flags.DEFINE_string("data", None, "prepared data set", required=True)
_IMAGES = flags.DEFINE_integer("images", 2000, "training images at most", lower_bound=200)


def main(argv: Sequence[str]) -> None:
    """Prints the table."""
    del argv
    print(f"| recipe | images | {' | '.join(GROUPS)} |")
    print(f"|{' --- |' * (2 + len(GROUPS))}")
    for name in _RECIPES.value:
        for kind, aucs in aucs_of(name, _DATA.value, _IMAGES.value).items():
            print(f"| {name} | {kind} | {' | '.join(aucs)} |", flush=True)


def aucs_of(name: str, path: str, most: int) -> dict[str, list[str]]:
    """Returns the AUCs of each group of features, of fitted and of augmented images."""
    from trainer.config import recipe
    from trainer.data import examples, pipeline
    from trainer.data.audit import file_features, shortcuts
    from trainer.data.prepared_data import open_data

    config, data = recipe.read(name), open_data(path)
    images, labels, patients = {}, [], []
    for split in ("train", "test"):
        size, fit = config.data.image_size, config.data.fit
        pixels, given = pipeline.arrays(data.splits[split], size, fit_mode=fit)
        kept = np.sort(np.random.default_rng(0).permutation(len(pixels))[:most])
        images[split] = np.asarray(pixels)[kept].reshape(-1, size, size, 1)
        labels.append(np.asarray(given)[kept])
        patients += np.array(examples.identities(data.splits[split])[1])[kept].tolist()
    in_test = np.repeat([False, True], [len(of_split) for of_split in labels])
    found = {}
    for kind in ("fitted", "augmented"):
        train = augmented(images["train"], config) if kind == "augmented" else images["train"]
        measured = shortcuts.measure(
            [file_features.measure(b"", image) for image in (*train, *images["test"])],
            np.concatenate(labels).astype(int),
            patients=patients,
            in_test=in_test,
            names=data.labels,
        )
        by_group = {each.features: each for each in measured if each.label == data.labels[0]}
        found[kind] = [_cell(by_group.get(group)) for group in GROUPS]
    return found


def augmented(images: np.ndarray, config: Any) -> np.ndarray:
    """Returns images [n, S, S, 1] uint8 as the recipe's augmentation changes them, likewise."""
    import tensorflow as tf

    from trainer import random_numbers
    from trainer.augment import augmentation
    from trainer.models.inputs import images_to_float

    augment, changed = augmentation.of_run(config, on_tpu=False), []
    for step, start in enumerate(range(0, len(images), BATCH)):
        batch = images_to_float(images[start : start + BATCH])
        key = random_numbers.key(config.seed, tf.constant(step))
        seen = augment(batch, key, tf.range(len(batch)), global_batch=BATCH)
        changed.append(np.uint8(np.round(255 * seen.numpy())))
    return np.concatenate(changed)


def _cell(shortcut: Any) -> str:
    """Returns both AUCs; "too few" where the audit measures nothing of so few images."""
    if not (shortcut and shortcut.train and shortcut.transfer):
        return "too few"
    return f"{shortcut.train.value:.2f} ({shortcut.transfer.value:.2f})"


if __name__ == "__main__":
    program.run(main, Command(purpose=__doc__))
