"""A machine is what the cloud really has, and a mistake is told with what was meant."""

import pytest

from trainer.cloud import machines
from trainer.cloud.machines import ACCELERATORS, CPU, GPUS, TPUS, Machine, choose
from trainer.system.errors import UsageError


@pytest.mark.parametrize(
    ("accelerator", "platform", "machine"),
    [
        ("nvidia-l4:2", "vertex", Machine("g2-standard-24", "nvidia-l4", 2)),
        ("nvidia-l4", "vertex", Machine("g2-standard-8", "nvidia-l4", 1)),
        ("nvidia-tesla-t4:4", "vertex", Machine("n1-standard-32", "nvidia-tesla-t4", 4)),
        ("nvidia-tesla-a100:16", "vertex", Machine("a2-megagpu-16g", "nvidia-tesla-a100", 16)),
        ("tpu-v5e:8", "vertex", Machine("ct5lp-hightpu-8t", "tpu-v5e", 8, "2x4")),
        ("cpu", "vertex", Machine("n2-standard-8", "", 0)),
        ("tpu-v5e:4", "tpu_vm", Machine("", "tpu-v5e", 4, "2x2")),
        ("tpu-v6e", "tpu_vm", Machine("", "tpu-v6e", 1, "1x1")),
        ("nvidia-l4:2", "kubernetes", Machine("", "nvidia-l4", 2)),
        ("tpu-v6e:8", "kubernetes", Machine("", "tpu-v6e", 8, "2x4")),
        ("cpu", "kubernetes", Machine("", "", 0)),
    ],
)
def test_platform_has_a_default_machine(accelerator: str, platform: str, machine: Machine):
    assert choose(accelerator, "", platform) == machine


def test_accelerator_may_be_written_as_google_writes_it():
    assert choose("NVIDIA_L4:2", "", "vertex") == choose("nvidia-l4:2", "", "vertex")


@pytest.mark.parametrize(
    ("accelerator", "machine_type", "platform", "sentence"),
    [
        ("l4", "", "vertex", "give nvidia-l4."),
        ("nvidia-l40", "", "vertex", "give nvidia-l4."),
        ("gpu", "", "vertex", "give nvidia-tesla-t4, .* or cpu."),
        ("nvidia-l4:3", "", "vertex", "nvidia-l4 comes in machines of 1, 2, 4 or 8; .*--workers"),
        ("tpu-v5e:16", "", "tpu_vm", "tpu-v5e comes in machines of 1, 4 or 8.$"),
        ("nvidia-l4:two", "", "vertex", "how many a machine has, 1, 2, 4 or 8"),
        ("cpu:4", "", "vertex", "give cpu alone; .*--machine_type"),
        ("nvidia-l4:2", "g2-standart-24", "vertex", "for nvidia-l4:2, give g2-standard-24."),
        ("cpu", "m9-huge", "vertex", "for cpu, give n2-standard-8, .* or [0-9]+ others."),
        ("nvidia-l4:2", "g2-standard-8", "vertex", "has nvidia-l4:1, .*give g2-standard-24"),
        ("nvidia-tesla-t4:1", "n1-standard-96", "vertex", "has nvidia-tesla-t4:4, .* or cpu"),
        ("nvidia-l4", "", "tpu_vm", "only TPUs, .*--accelerator=tpu-v5e or tpu-v6e"),
        ("tpu-v5e:8", "ct5lp-hightpu-8t", "tpu_vm", "leave it out"),
        ("tpu-v6e:8", "", "vertex", "not run TensorFlow on TPU v6e: .*--platform=tpu_vm"),
    ],
)
def test_unavailable_machine_is_refused_with_those_available(
    accelerator: str, machine_type: str, platform: str, sentence: str
):
    with pytest.raises(UsageError, match=sentence):
        choose(accelerator, machine_type, platform)


def test_every_machine_type_of_the_table_can_be_ordered_by_name():
    for name, counts in ACCELERATORS.items():
        platform = "kubernetes" if name == "tpu-v6e" else "vertex"
        for count, types in counts.items():
            for machine_type in types:
                wanted = name if name == CPU else f"{name}:{count}"
                machine = choose(wanted, machine_type, platform)
                assert (machine.type, machine.count) == (machine_type, count)


def test_large_machine_needs_many_gpus():
    assert "n1-standard-32" not in GPUS["nvidia-tesla-t4"][1]
    assert "n1-standard-32" in GPUS["nvidia-tesla-t4"][2]
    assert "n1-standard-16" not in GPUS["nvidia-tesla-v100"][1]
    assert "n1-standard-4" in GPUS["nvidia-tesla-v100"][8]


def test_vertex_knows_every_accelerator_by_the_name_it_is_given():
    types = pytest.importorskip("google.cloud.aiplatform_v1.types")
    known = {each.name for each in types.AcceleratorType}
    for name in GPUS:
        assert machines.vertex_enum(Machine("", name, 1)) in known
    for name in (*TPUS, ""):  # of which the machine type tells, and the topology
        assert not machines.vertex_enum(Machine("", name, 1))


def test_tpu_api_has_names_of_its_own():
    v5e, v6e = (choose(f"tpu-{each}:8", "", "tpu_vm") for each in ("v5e", "v6e"))
    assert (machines.tpu_vm_type(v5e), machines.tpu_vm_type(v6e)) == ("v5litepod-8", "v6e-8")
    runtimes = machines.tpu_vm_runtime(v5e), machines.tpu_vm_runtime(v6e)
    assert runtimes == ("v2-alpha-tpuv5-lite", "v2-alpha-tpuv6e")


def test_machine_has_a_description_and_a_number_of_replicas():
    gpus, cpu = choose("nvidia-l4:2", "", "vertex"), choose("cpu", "", "vertex")
    assert (str(gpus), gpus.replicas) == ("g2-standard-24 with 2 x nvidia-l4", 2)
    assert gpus.times(1) == "1 machine x 2 nvidia-l4 (g2-standard-24)"
    assert gpus.times(2) == "2 machines x 2 nvidia-l4 (g2-standard-24)"
    assert (str(cpu), cpu.replicas) == ("n2-standard-8", 1)
    assert str(choose("tpu-v5e:8", "", "tpu_vm")) == "8 x tpu-v5e"
