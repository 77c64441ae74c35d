"""The operations of a trace, added up by name, the dearest first."""

from tensorflow.tsl.profiler.protobuf import xplane_pb2

from trainer.training.trace import Operation, operations


def plane(name: str, line: str, events: list[tuple[str, float]]) -> xplane_pb2.XPlane:
    made = xplane_pb2.XPlane(name=name)
    numbers = {event: number for number, event in enumerate(dict(events))}
    for event, number in numbers.items():
        made.event_metadata[number].name = event
    traced = made.lines.add(name=line)
    for event, seconds in events:
        traced.events.add(metadata_id=numbers[event], duration_ps=int(seconds * 1e12))
    return made


HOST = plane(
    "/host:CPU",
    "tf_Compute/1",
    [
        ("while/body/_1/while/resnet_1/stem/convolution:Conv2D", 0.5),
        ("while/body/_1/while/resnet_1/stem/convolution:Conv2D", 0.25),
        ("while/body/_1/gradient_tape/while/stem/filter:_MklNativeConv2DBackpropFilter", 2.0),
        ("while:While", 9.0),
        ("ExecutorState::Process", 9.0),
    ],
)


def test_operations_of_a_cpu_are_those_of_layers_without_what_encloses_them():
    assert operations(xplane_pb2.XSpace(planes=[HOST])) == [
        Operation("Conv2DBackpropFilter stem/filter", 1, 2.0),
        Operation("Conv2D resnet_1/stem/convolution", 2, 0.75),
    ]


def test_operations_of_a_gpu_are_its_kernels():
    gpu = plane("/device:GPU:0", "Stream #13(Compute)", [("gemm", 0.5), ("add", 0.25)])
    derived = plane("/device:GPU:0", "XLA Ops", [("fusion", 0.75)])
    found = operations(xplane_pb2.XSpace(planes=[HOST, derived, gpu]))
    assert found == [Operation("gemm", 1, 0.5), Operation("add", 1, 0.25)]
