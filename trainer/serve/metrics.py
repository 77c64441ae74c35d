"""What Prometheus is told of the server."""

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server; none has a label that a client chooses.

    Attributes:
      requests: by route and status.
      seconds: that a request takes, by route.
      refused: requests and files, by reason.
      in_flight: requests now.
      waiting: images in the queue now.
      queued: seconds that they were in it.
      network: seconds of a batch in the network.
      batch: images that go together.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self.requests = Counter(
            "radiograph_requests", "Requests answered", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "radiograph_request_seconds",
            "Time of a request, its body included",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.refused = Counter(
            "radiograph_refused", "Requests and files refused", ["reason"], registry=registry
        )
        self.in_flight = Gauge("radiograph_in_flight", "Requests now", registry=registry)
        self.waiting = Gauge("radiograph_waiting_images", "Images in the queue", registry=registry)
        self.queued = Histogram(
            "radiograph_queue_seconds", "Time in the queue", buckets=SECONDS, registry=registry
        )
        self.network = Histogram(
            "radiograph_network_seconds", "Time of a batch", buckets=SECONDS, registry=registry
        )
        self.batch = Histogram(
            "radiograph_batch_images", "Images of a batch", buckets=ROWS, registry=registry
        )

    def page(self) -> bytes:
        """Returns all in Prometheus' text format."""
        return prometheus_client.generate_latest(self._registry)
