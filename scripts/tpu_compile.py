"""Compiles a StableHLO module with the TPU compiler: python tpu_compile.py MODULE TOPOLOGY

Run by scripts/tpu_check.py in the environment of requirements/tpu_check.txt, which has no
TensorFlow. Prints one line of JSON:
  flops, bytes: of one execution, by the compiler's cost model
  hbm: bytes of the device's memory that the program needs, arguments and results included
  gathers: number of gather operations in the optimised program
  largest_gather: number of elements of the largest result among them
or, where the program does not fit:
  out_of_memory: what the compiler says
"""

import json
import math
import os
import re
import sys
from pathlib import Path

# Before libtpu is loaded, which else asks the cloud's metadata server what machine it is on, and
# lets one process have it. The topology to compile for does not depend on what is said here.
os.environ.update(
    ALLOW_MULTIPLE_LIBTPU_LOAD="1",
    JAX_PLATFORMS="cpu",
    TPU_SKIP_MDS_QUERY="1",
    TPU_ACCELERATOR_TYPE="v5litepod-4",
    TPU_WORKER_HOSTNAMES="localhost",
    TPU_WORKER_ID="0",
)

import numpy as np
from jax._src import compiler
from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jax.errors import JaxRuntimeError
from jax.experimental import topologies
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

GATHER = re.compile(r"= \w+\[([\d,]*)\]\S* gather\(")


def drop_copies(operation: ir.Operation) -> None:
    """Removes mhlo.copy, which TensorFlow leaves on updated variables and the importer refuses."""
    for region in operation.regions:
        for block in region:
            for inner in list(block):
                if inner.operation.name == "mhlo.copy":
                    inner.operation.results[0].replace_all_uses_with(inner.operation.operands[0])
                    inner.operation.erase()
                else:
                    drop_copies(inner.operation)


def compile_for(serialized: bytes, topology: str) -> _jax.LoadedExecutable:
    """Compiles a serialised StableHLO module for one device of a topology such as "v5e:2x2"."""
    device = topologies.get_topology_desc(topology, platform="tpu").devices[0]
    options = compiler.get_compile_options(
        num_replicas=1, num_partitions=1, device_assignment=np.array([[device.id]])
    )
    context = mlir.make_ir_context()
    with context, ir.Location.unknown(context):
        module = stablehlo.deserialize_portable_artifact(context, serialized)
        drop_copies(module.operation)
        return device.client.compile(module, _jax.DeviceList((device,)), options)


def describe(program: _jax.LoadedExecutable) -> dict[str, float]:
    """Returns what the module's docstring lists of a compiled program."""
    cost = program.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    memory = program.get_compiled_memory_stats()
    hbm = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
    )
    shapes = GATHER.findall(program.hlo_modules()[0].to_string())
    sizes = [math.prod(int(size) for size in shape.split(",") if size) for shape in shapes]
    return {
        "flops": cost["flops"],
        "bytes": cost["bytes accessed"],
        "hbm": hbm,
        "gathers": len(sizes),
        "largest_gather": max(sizes, default=0),
    }


def main() -> None:
    """Compiles what the command line names and prints what came of it."""
    path, topology = sys.argv[1:]
    try:
        found: dict = describe(compile_for(Path(path).read_bytes(), topology))
    except JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        found = {"out_of_memory": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
