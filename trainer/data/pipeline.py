"""From the prepared data set to batches: batch k is a pure function of (seed, k).

Epoch e visits the records in an order keyed by (seed, e). Batch k takes positions
[k * B, (k + 1) * B) of the concatenated epochs, so that to start at step k is to skip numbers,
not images. A host takes its contiguous rows of the global batch.

A batch is a dict, b rows of the global batch of B:
  image:  [b, S, S, 1] uint8, fitted to the square S
  label:  [b, K] float32: 1, 0, or -1 where it is not known
  row:    [b] int32, the example's row in the global batch
  weight: [b] float32, 0 for the rows that fill up the last batch
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image

from trainer import random_numbers
from trainer.data import dataset
from trainer.data.data_split import Split, lost
from trainer.data.decode import fit, stored

READ_BATCH = 64
ALIGNMENT = 64  # bytes; TensorFlow ends the process at a tensor that lies otherwise
ONE_HOST = tf.distribute.InputContext(1, 0, 1)


@dataclass(frozen=True)
class Pixels:
    """Decoded images and labels of a split by record number.

    Attributes:
      size: number of records.
      look_up: data set of [b] int64 record numbers -> data set of
        ([b, S, S, 1] uint8, [b, K] float32); what else is beside the numbers is passed on.
    """

    size: int
    look_up: Callable[[tf.data.Dataset], tf.data.Dataset]


def pixels(split: Split, image_size: int, cache: str, *, fit_mode: str = "squash") -> Pixels:
    """Returns the images of `split`, fitted to `image_size`.

    Args:
      split: where they are read from.
      image_size: side of the square S, pixels.
      cache: "host" decodes everything once and keeps it in memory, `pixel_bytes` of it; "none"
        reads and decodes at every visit, for data of any size.
      fit_mode: how an image fits the square, see `trainer.data.decode.fit`.
    """
    if cache == "none":
        return Pixels(split.size, _decoding(split, image_size, fit_mode))
    return gathered(*arrays(split, image_size, fit_mode=fit_mode))


def arrays(split: Split, image_size: int, *, fit_mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns all images and labels of a split, decoded, in memory as `on_host` takes it."""
    made = (
        aligned((split.size, image_size, image_size, 1), np.uint8),
        aligned((split.size, len(split.labels)), np.float32),
    )
    start = 0
    for part in decoded(split, image_size, fit_mode=fit_mode):
        for array, values in zip(made, part, strict=True):
            array[start:][: len(values)] = values
        start += len(part[0])
    return made


def decoded(
    split: Split, image_size: int, *, fit_mode: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields images and labels of all records in order, some at a time: see `Pixels.look_up`."""
    with tf.device("CPU:0"):
        numbers = tf.data.Dataset.range(split.size).batch(READ_BATCH)
        parts = _decoding(split, image_size, fit_mode)(numbers).prefetch(2)
        for images, labels in parts:
            yield images.numpy(), labels.numpy()


def gathered(images: np.ndarray, labels: np.ndarray, *, at_once: int | None = None) -> Pixels:
    """Returns the pixels that lie in arrays, which TensorFlow uses where they are.

    Args:
      images: [n, S, S, 1] uint8, in memory as `on_host` takes it.
      labels: [n, K] float32, likewise.
      at_once: number of batches that are gathered at the same time, where that waits for a disk.
    """
    kept = [on_host(array) for array in (images, labels)]

    def gather(numbers: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.device("CPU:0"):
            return *(tf.gather(tensor, numbers) for tensor in kept), *others

    return Pixels(len(images), lambda batches: batches.map(gather, num_parallel_calls=at_once))


def aligned(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Returns an array without values that TensorFlow can use where it lies."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)


def on_host(array: np.ndarray) -> tf.Tensor:
    """Returns a tensor that is an array where it lies.

    Args:
      array: in memory that can be written to and begins at `ALIGNMENT`.
    """
    with tf.device("CPU:0"):  # the other ways from an array to a tensor copy it
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def pixel_bytes(split: Split, image_size: int) -> int:
    """Returns how much memory the decoded images and the labels of a split take."""
    return split.size * (image_size**2 + 4 * len(split.labels))


def read_images(
    split: Split, numbers: Sequence[int] | np.ndarray, image_size: int, *, fit_mode: str
) -> np.ndarray:
    """Returns the images of some records at once, [n, S, S, 1] uint8.

    Raises:
      DataLost: if one cannot be read.
    """
    examples = split.read(np.asarray(numbers, np.int64))
    images, _ = _decoder(split, image_size, fit_mode)(tf.constant(examples))
    return images.numpy()


@tf.autograph.experimental.do_not_convert
def train_batches(
    pixels: Pixels,
    global_batch: int,
    *,
    seed: int,
    epochs: int,
    start_step: int = 0,
    context: tf.distribute.InputContext = ONE_HOST,
    parts: int = 1,
) -> tf.data.Dataset:
    """Returns the batches of `epochs` passes from `start_step` on, one for each replica in turn.

    Where a step is taken in `parts`, a replica gets its share of the rows of the first part, then
    of the second: a part holds the same rows of the global batch on any number of replicas. The
    last batch is filled up with what would come next, at weight 0; its other rows weigh
    more in turn, so that a mean over the global batch stays a mean over its examples.
    """
    first = start_step * global_batch
    orders = tf.data.Dataset.range(first // pixels.size, epochs + 1 + global_batch // pixels.size)
    numbers = orders.map(lambda epoch: epoch_order(seed, epoch, pixels.size)).unbatch()
    return _batches(
        pixels,
        numbers.skip(first % pixels.size),
        end=epochs * pixels.size,
        global_batch=global_batch,
        start_step=start_step,
        context=context,
        parts=parts,
    )


@tf.autograph.experimental.do_not_convert
def evaluation_batches(
    pixels: Pixels,
    global_batch: int,
    context: tf.distribute.InputContext = ONE_HOST,
    *,
    limit: Sequence[int] | np.ndarray | None = None,
) -> tf.data.Dataset:
    """Returns batches that visit every record once, in order, the last filled up at weight 0.

    With `limit`, [n] record numbers, they visit these alone.
    """
    size = pixels.size if limit is None else len(limit)
    visited = (
        tf.data.Dataset.range(size)
        if limit is None
        else tf.data.Dataset.from_tensor_slices(np.asarray(limit, np.int64))
    )
    numbers = visited.concatenate(
        tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).repeat(global_batch - 1)
    )
    return _batches(pixels, numbers, end=size, global_batch=global_batch, context=context)


def epoch_order(seed: int, epoch: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the order in which epoch `epoch` visits the records: [size] int64."""
    return tf.random.experimental.stateless_shuffle(
        tf.range(size, dtype=tf.int64),
        random_numbers.key(seed, epoch),
        alg=random_numbers.ALGORITHM,
    )


def replica_rows(global_batch: int, replicas: int, parts: int) -> np.ndarray:
    """Returns the rows of the global batch that each replica has: [replicas, b] int32."""
    rows = np.arange(global_batch, dtype=np.int32)
    return rows.reshape(parts, replicas, -1).swapaxes(0, 1).reshape(replicas, -1)


def example_weights(
    step: tf.Tensor, rows: tf.Tensor, *, examples: int, global_batch: int
) -> tf.Tensor:
    """Returns the weights of some rows of a step's batch: [b] float32.

    Args:
      step: whose batch it is, int64.
      rows: [b] int32, of the global batch.
      examples: how many all batches hold; what follows them fills the last one up.
      global_batch: rows of a batch.
    """
    last = steps(examples, global_batch)
    filled = examples - (last - 1) * global_batch
    real = (step < last - 1) | (rows < filled)
    scale = tf.where(step < last - 1, 1.0, global_batch / filled)
    return tf.cast(real, tf.float32) * scale


def steps(images: int, global_batch: int) -> int:
    """Returns how many steps it takes to visit `images` images."""
    return -(-images // global_batch)


def _batches(
    pixels: Pixels,
    numbers: tf.data.Dataset,
    *,
    end: int,
    global_batch: int,
    context: tf.distribute.InputContext,
    start_step: int = 0,
    parts: int = 1,
) -> tf.data.Dataset:
    """Returns the batches of the record `numbers` from `start_step` up to position `end`."""
    replicas, hosts = context.num_replicas_in_sync, context.num_input_pipelines
    by_host = replica_rows(global_batch, replicas, parts).reshape(hosts, -1)
    host_rows, last = by_host[context.input_pipeline_id], steps(end, global_batch)

    def host_part(step: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, ...]:
        rows = tf.constant(host_rows)
        weights = example_weights(step, rows, examples=end, global_batch=global_batch)
        return tf.gather(numbers, rows), rows, weights

    index = tf.data.Dataset.zip(
        tf.data.Dataset.range(start_step, last), numbers.batch(global_batch, drop_remainder=True)
    )
    index = index.map(host_part).unbatch()
    index = index.batch(global_batch // replicas, drop_remainder=True)

    def as_dict(*columns: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(("image", "label", "row", "weight"), columns, strict=True))

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    batches = pixels.look_up(index).map(as_dict)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def _decoding(
    split: Split, image_size: int, fit_mode: str
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Returns what reads and decodes the records of a data set of numbers, see `Pixels.look_up`."""
    decode = _decoder(split, image_size, fit_mode)

    # Nothing here needs AutoGraph, which would take a third of a second.
    @tf.autograph.experimental.do_not_convert
    def read(numbers: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, ...]:
        examples = tf.numpy_function(split.read, [numbers], tf.string, stateful=False)
        return tf.ensure_shape(examples, numbers.shape), *others

    def look_up(batches: tf.data.Dataset) -> tf.data.Dataset:
        read_ahead = batches.map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return read_ahead.map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    return look_up


def _decoder(split: Split, image_size: int, fit_mode: str) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Returns a function from stored examples [n] to images and labels, others passed on."""

    def decode_files(files: np.ndarray) -> np.ndarray:
        try:
            images = [Image.fromarray(stored.decode(file)) for file in files]
            return np.stack([fit.fit(image, image_size, fit_mode) for image in images])
        except (OSError, ValueError) as error:
            split.failures.append(lost(f"an image of split {split.name}", error))
            raise split.failures[-1] from error

    @tf.autograph.experimental.do_not_convert
    def decode(examples: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parsed = tf.io.parse_example(examples, dataset.stored_features(len(split.labels)))
        images = tf.numpy_function(decode_files, [parsed["image"]], tf.uint8, stateful=False)
        images = tf.ensure_shape(images, (*examples.shape, image_size, image_size, 1))
        return images, tf.cast(parsed["labels"], tf.float32), *others

    return decode
