"""What the server counts for Prometheus. Names and numbers only: nothing of what a request holds."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 600)


class Metrics:
    """Of one server; each has a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("step1x_requests", "Requests answered.", ("path", "status"), registry=registry)
        self.seconds = Histogram(
            "step1x_request_seconds", "From a request's headers to its answer's end.", ("path",), buckets=SECONDS, registry=registry
        )
        self.pictures = Counter("step1x_pictures", "Pictures made.", registry=registry)
        self.cancelled = Counter("step1x_cancelled", "Pictures that nobody waited for any more.", registry=registry)
        self.restarts = Counter("step1x_restarts", "Ends of the model's processes.", registry=registry)
        self.waiting = Gauge("step1x_waiting", "Pictures that wait.", registry=registry)
        self.working = Gauge("step1x_working", "Pictures that are being made.", registry=registry)
        self.held = Gauge("step1x_held_bytes", "Bytes of requests in memory.", registry=registry)
        self.batch = Histogram("step1x_batch", "Pictures made in one pass.", buckets=(1, 2, 4, 8, 16, 32), registry=registry)
        self.steps = Histogram("step1x_step_seconds", "Seconds by step of an edit.", ("step",), buckets=SECONDS, registry=registry)

    def expose(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
