"""Times the job against what the article used, Keras and PyTorch, on this machine.

python scripts/benchmark.py --source=chest_xray_224.zip   (phantom:1200 if no source is named)

Prints a table in Markdown: the whole training with the article's network, its training loop alone,
and the input pipeline alone, each beside a peer. Every measure runs in a process of its own, in its
default environment. Once all have warmed up they take turns, in rounds, forwards and backwards:
one works while the others wait.
"""

import importlib
import json
import math
import os
import platform
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from absl import app, flags
from benchmark_meter import Failed, Measure, Meter
from benchmark_table import account, table

ROOT = Path(__file__).resolve().parents[1]
OURS, KERAS, TORCH = "benchmark_ours", "benchmark_keras", "benchmark_torch"
MEASURES = {
    "job": OURS,
    "article_script": KERAS,
    "bare_step": OURS,
    "loop_plain": OURS,
    "torch_plain": TORCH,
    "loop_augmented": OURS,
    "torch_augmented": TORCH,
    "pipeline_host": OURS,
    "pipeline_disk": OURS,
    "pipeline_none": OURS,
    "image_dataset_from_directory": KERAS,
    "image_data_generator": KERAS,
}
PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "numpy", "torch", "torchvision")
NO_TORCH = (
    "PyTorch is not installed, and its rows are left out: scripts/setup.sh --peers installs it."
)

_SOURCE = flags.DEFINE_string("source", "phantom:1200", "what radiograph prepare reads")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "turns of each measure", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 5.0, "least duration of a turn", lower_bound=0.0)
_LEAD = flags.DEFINE_float("lead", 1.5, "seconds of a turn before it counts", lower_bound=0.0)
flags.register_validator("seconds", math.isfinite, "no turn would end")
flags.register_validator("lead", math.isfinite, "no turn would end")
_MEASURE = flags.DEFINE_string("measure", None, "takes this one measure; used by the benchmark")
_WORK = flags.DEFINE_string("work", "", "folder with the data; used by the benchmark")


def main(argv: Sequence[str]) -> None:
    """Takes every figure and prints them in pairs."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected argument {argv[1]!r}: use --name=value flags (--help).")
    if _MEASURE.value:
        take_measure(_MEASURE.value, Path(_WORK.value))
        return
    has_torch = all(map(find_spec, ("torch", "torchvision")))
    names = [name for name, module in MEASURES.items() if has_torch or module != TORCH]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # after the folder is removed
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            load = os.getloadavg()[0]
            with start("unpack", Path(folder)) as unpacked:
                images = unpacked.warm["images"]
            found = in_turns(names, Path(folder))
    except Failed as failed:
        print(f"\n{failed}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(130)
    print(f"`{shlex.join(['python', 'scripts/benchmark.py', *sys.argv[1:]])}`\n")
    print(f"{images:,} training images, 180x180, batch 32, on {machine()}, with a load of")
    print(f"{load:.1f} before it. {versions()}. Images/s,")
    print(f"medians of {_ROUNDS.value} turns, of whole epochs their mean; the ratio of these, and")
    print("the lowest and highest of a round:\n")
    print("\n".join(table(found)))
    print(f"\nOf the whole epochs {account(found['job'])}.")
    if has_torch:
        workers = (found[name][-1]["workers"] for name in ("torch_plain", "torch_augmented"))
        print(
            "PyTorch's DataLoader was fastest with {} workers, augmenting with {}.".format(*workers)
        )
    else:
        print(NO_TORCH)


def take_measure(name: str, work: Path) -> None:
    """Runs a measure in this process; what it prints goes where its errors go."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if name == "unpack":
        from benchmark_ours import unpack

        print(json.dumps({"images": unpack(work, _SOURCE.value)}), file=answers, flush=True)
        return
    meter = Meter(sys.stdin, answers, seconds=_SECONDS.value, lead=_LEAD.value)
    getattr(importlib.import_module(MEASURES[name]), name)(work, meter)


def start(name: str, work: Path) -> Measure:
    """Starts a measure and waits until it has warmed up."""
    print(f"  {name} ...", end="", flush=True, file=sys.stderr)
    given = {"measure": name, "work": work, "source": _SOURCE.value}
    given |= {"seconds": _SECONDS.value, "lead": _LEAD.value}
    command = [sys.executable, __file__, *(f"--{flag}={value}" for flag, value in given.items())]
    measure = Measure(name, command, work / f"{name}.log", {**os.environ, "PYTHONPATH": str(ROOT)})
    print(" ready", file=sys.stderr)
    return measure


def in_turns(names: Sequence[str], work: Path) -> dict[str, list[dict]]:
    """Returns what each measure answered in each round."""
    found: dict[str, list[dict]] = {name: [] for name in names}
    with ExitStack() as leaving_none:
        measures = [leaving_none.enter_context(start(name, work)) for name in names]
        for number in range(_ROUNDS.value):
            print(f"  round {number + 1} of {_ROUNDS.value} ...", file=sys.stderr)
            for measure in measures if number % 2 == 0 else reversed(measures):
                found[measure.name].append(measure.take())
        for measure in measures:
            measure.end()
    return found


def machine() -> str:
    """Returns the processor's name, its widest vectors, and the cores that are ours."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    about = dict(line.split(":", 1) for line in lines if ":" in line)
    about = {key.strip(): value.strip() for key, value in about.items()}
    name = about.get("model name", platform.processor())
    flags_ = about.get("flags", "").split()
    vectors = next((f" ({v.upper()})" for v in ("avx512f", "avx2") if v in flags_), "")
    return f"{len(os.sched_getaffinity(0))} cores of {name}{vectors}"


def versions() -> str:
    """Returns the versions of Python and of the packages that are compared."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


if __name__ == "__main__":
    app.run(main)
