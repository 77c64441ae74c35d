"""Some training steps traced, and what took the longest in them."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from trainer.data.prepared_data import open_data
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import connect
from trainer.system.watchdog import Watchdog
from trainer.training import run_paths, step
from trainer.training.error_translation import translate_errors
from trainer.training.run import check_replicas, create_run
from trainer.training.run_checks import check_data
from trainer.training.siamese_step import step_class

WARM_UP = 2  # loops before those traced: the first compiles
HOST_OPERATION = re.compile(r"(?:while/body/_\d+/)?(?P<name>[^:]+):(?P<kind>\w+)")
SCOPES = {"while", "gradient_tape"}  # which say nothing of the operation
OUTER = {"While", "StatelessWhile", "If", "PartitionedCall", "StatefulPartitionedCall", "NoOp"}


class Operation(NamedTuple):
    """An operation in a trace, all its executions together.

    Attributes:
      name: of a layer's operation, or of a GPU's kernel.
      times: how often it ran.
      seconds: that it took in all; of a CPU's, operations that run at once are counted each.
    """

    name: str
    times: int
    seconds: float


def trace_steps(config: ConfigDict, folder: epath.Path, steps: int) -> list[Operation]:
    """Traces training steps of a new network, and returns its operations, the dearest first.

    Args:
      config: of a run.
      folder: the trace is written into its events, where TensorBoard finds it.
      steps: how many are traced.

    Raises:
      ExitError: as from training.
    """
    data = open_data(config.data.path)
    check_data(config, data.summary)
    replicas = connect(config.distribute, partial(check_replicas, config))
    events = folder / run_paths.EVENTS / "train"
    with (
        translate_errors(folder, data, replicas),
        StopSignals() as signals,
        Watchdog(folder / "stacks", replicas.worker, config.train.hang_minutes) as watchdog,
    ):
        run = create_run(
            config,
            folder,
            events,
            data=data,
            replicas=replicas,
            signals=signals,
            watchdog=watchdog,
        )
        take = step.train_loop(
            replicas.strategy,
            run.state,
            config,
            exclusive=run.outputs.exclusive,
            step_class=step_class(config),
        )
        batches = run.train_batches(0)
        for _ in range(WARM_UP):
            take(batches, 2)
        tf.profiler.experimental.start(str(events))
        try:
            take(batches, steps)
        finally:
            tf.profiler.experimental.stop()
    newest = max(events.glob("plugins/profile/*/*.xplane.pb"), key=str)
    return operations(xplane_pb2.XSpace.FromString(newest.read_bytes()))


def operations(trace: xplane_pb2.XSpace) -> list[Operation]:
    """Returns the operations of a trace, the dearest first: of the GPUs, else of the CPU."""
    events = list(_events(trace, "/device:", "Stream")) or list(_events(trace, "/host:CPU", ""))
    seconds, times = defaultdict[str, float](float), defaultdict[str, int](int)
    for name, duration in events:
        seconds[name] += duration
        times[name] += 1
    dearest = sorted(seconds, key=lambda name: -seconds[name])
    return [Operation(name, times[name], seconds[name]) for name in dearest]


def _events(
    trace: xplane_pb2.XSpace, plane_prefix: str, line_prefix: str
) -> Iterator[tuple[str, float]]:
    """Yields name and seconds of each execution."""
    for plane in trace.planes:
        if not plane.name.startswith(plane_prefix):
            continue
        for line in plane.lines:
            if not line.name.startswith(line_prefix):
                continue
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if plane_prefix == "/host:CPU":
                    found = HOST_OPERATION.fullmatch(name)
                    if not found or found["kind"] in OUTER or "::" in name:
                        continue
                    name = _plain(found["kind"], found["name"])
                yield name, event.duration_ps / 1e12


def _plain(kind: str, name: str) -> str:
    """Returns an operation's kind and place: "Conv2DBackpropFilter stem/convolution"."""
    place = "/".join(part for part in name.split("/") if part not in SCOPES)
    return f"{kind.removeprefix('_MklNative')} {place}"
