"""What does the app count, for Prometheus?"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tasks.monitoring.watch import Watch
from tasks.registry.versions import Version

PATHS = ("/", "/predict", "/corrections", "/samples", "/card", "/docs", "/openapi.json", "/health", "/metrics")


class Metrics:
    """The Prometheus metrics of one app. Each app has its own, so that a process can have several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("digitflow_requests", "Answers", ["path", "status"], registry=self.registry)
        self.predictions = Counter("digitflow_predictions", "Images read", ["label"], registry=self.registry)
        self.seconds = Histogram("digitflow_prediction_seconds", "From file to answer", registry=self.registry)
        self.corrections = Counter("digitflow_corrections", "Corrections kept", registry=self.registry)
        what = "Corrections taken back"
        self.taken_back = Counter("digitflow_corrections_taken_back", what, registry=self.registry)
        self.version = Gauge("digitflow_model_version", "Version in use", ["dataset"], registry=self.registry)
        what = "Population stability index of the version's images of today, by statistic"
        self.drift = Gauge("digitflow_drift_index", what, ["statistic"], registry=self.registry)
        what = "Index above which it is drift"
        self.threshold = Gauge("digitflow_drift_threshold", what, ["statistic"], registry=self.registry)
        what = "Images that the version read today"
        self.images = Gauge("digitflow_drift_images", what, registry=self.registry)

    def count_answer(self, path: str, status: int) -> None:
        top = "/" + path.split("/", 2)[1]  # of a correction, not its number
        self.requests.labels(top if top in PATHS else "other", status).inc()

    def show(self, version: Version, watch: Watch) -> None:
        """Set the gauges: the version in use, and how far the images that it read today drifted."""
        self.version.labels(version.dataset).set(version.version)
        today = watch.today(version)
        self.images.set(today.images if today else 0)
        for gauge in (self.drift, self.threshold):
            gauge.clear()  # a new day, or another version, has no index yet
        for one in today.drift if today else ():
            self.drift.labels(one.statistic).set(one.index)
            self.threshold.labels(one.statistic).set(one.threshold)
