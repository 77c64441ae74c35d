"""What the chief shows of a run while it goes on: the terminal's line, TensorBoard, history."""

import json

import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer import augment, draws, pictures, step, whole
from trainer.data import examples, pipeline
from trainer.pace import Pace
from trainer.progress import LiveLine, clock
from trainer.record import Record
from trainer.state import State
from trainer.summaries import ActivationWatch, Summaries

CURVES = ("loss", "accuracy", "auc", "sensitivity", "specificity")


class Diary:
    """Writes down how the run goes on.

    Args:
      workdir: of the run.
      config: of the run.
      state: of the run; its averaged network is the one that is shown.
      validation: its first image of each class is looked at.
      total_steps: of the run.
    """

    def __init__(
        self,
        workdir: epath.Path,
        config: ConfigDict,
        state: State,
        validation: pipeline.Split,
        total_steps: int,
    ):
        self._workdir, self._config, self._state = workdir, config, state
        self._total_steps = total_steps
        self._line = LiveLine()
        self._skipped_steps = state.skipped_steps
        self._summaries = Summaries(workdir)
        images, names, groups = examples.first_of_each_group(
            validation, config.data, 1, examples.groups(validation)[:2]
        )
        captions = [f"{group}: {name}" for group, name in zip(groups, names, strict=True)]
        self._watch = ActivationWatch(state.averaged, images, captions)

    def begin(self, split: pipeline.Split, pixels: pipeline.Pixels) -> None:
        """Writes what can be shown before the first step: samples, an augmented batch, texts."""
        config, summaries = self._config, self._summaries
        groups = examples.groups(split)
        images, names, of = examples.first_of_each_group(split, config.data, 8, groups)
        groups = [group for group in groups if group in of]
        sheet = pictures.sample_sheet(images, names, groups, [groups.index(group) for group in of])
        summaries.picture("samples", "sample_sheet.png", 0, sheet)
        batch_size = config.train.batch_size
        batch = next(iter(pipeline.train_batches(pixels, config.seed, batch_size, 1)))
        originals = step.images_to_float(batch["image"])
        augmentation = augment.build(config.augment, jit_compile=False)  # once: not worth it
        key = draws.key(config.seed, tf.constant(0))
        augmented = augmentation(originals, key, batch["row"], batch_size)
        picture = pictures.augmented_batch(augmented.numpy(), originals.numpy())
        summaries.picture("augmented", "augmented.png", 0, picture)
        lines: list[str] = []
        self._state.model.summary(line_length=100, print_fn=lambda line, **_: lines.append(line))
        summaries.text("model", "\n".join(lines))
        summaries.text("config", json.dumps(config.to_dict(), indent=2))
        self._watch.write(summaries, 0)

    def wait(self, reason: str) -> None:
        """Says what takes its time."""
        self._line.show(f"{reason} ...")

    def loop(self, record: Record, result: step.LoopResult, pace: Pace) -> None:
        """Writes down a loop of training steps."""
        epochs, seconds_a_step = self._config.train.epochs, result.seconds / len(result.losses)
        now = {
            "step_loss": float(result.losses.mean()),
            "learning_rate": float(self._state.optimizer.learning_rate),
            "images_per_second": self._config.train.batch_size / seconds_a_step,
            "input_wait": result.wait_seconds / result.seconds,
        }
        if self._config.precision == "mixed_float16":
            now |= self._half_precision(record.step)
        values = {f"training/{name}": value for name, value in now.items()}
        self._summaries.scalars("train", record.step, values)
        if pace.known:  # else the time says nothing of the steps to come
            self._line.show(
                f"epoch {record.epoch + 1}/{epochs}  step {record.step:,}/{self._total_steps:,}  "
                f"loss {now['step_loss']:.4f}  {now['images_per_second']:.0f} images/s  "
                f"{clock((self._total_steps - record.step) * pace.seconds_a_step)} left"
            )

    def epoch(self, record: Record) -> None:
        """Writes down an epoch that has been evaluated."""
        whole.write_json(self._workdir / "history.json", record.history)
        self._line.settle(record.last_line(self._config.train.epochs))
        for part in ("train", "validation"):
            curves = record.history[-1][part]
            values = {tag: curves[tag] for tag in CURVES}
            for label, of in curves.get("labels", {}).items():
                values |= {f"{tag}/{label}": of[tag] for tag in CURVES}
            self._summaries.scalars(part, record.step, values)
        self._watch.write(self._summaries, record.step)

    def flush(self) -> dict[str, int]:
        """Makes everything visible; returns the lengths of the event files, in bytes."""
        return self._summaries.flush()

    def _half_precision(self, step: int) -> dict[str, float]:
        """Returns the loss scale and the steps skipped so far, and says when there are more."""
        scale, skipped = self._state.loss_scale, self._state.skipped_steps
        if new := skipped - self._skipped_steps:
            self._line.settle(
                f"step {step:,}: {new} steps skipped, whose gradients were not finite; the loss "
                f"scale is now {scale:g}"
            )
        self._skipped_steps = skipped
        return {"loss_scale": scale, "skipped_steps": skipped}
