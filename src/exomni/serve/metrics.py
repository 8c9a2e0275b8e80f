"""What the server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


class Metrics:
    """One server's counts, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.sessions = Gauge("exomni_sessions", "WebSockets that are open", registry=registry)
        self.replies = Counter("exomni_replies_total", "Replies by how they ended", ["status"], registry=registry)
        self.replying = Gauge("exomni_replies_in_progress", "Replies that are being made", registry=registry)
        self.first_audio_s = Histogram(
            "exomni_first_audio_seconds", "From the request to the first speech", buckets=SECONDS, registry=registry
        )
        self.transcription_s = Histogram(
            "exomni_hearing_seconds", "From the end of a turn to its words", buckets=SECONDS, registry=registry
        )
        self.stop_s = Histogram(
            "exomni_stop_seconds", "From hearing a person to the silence of a reply", buckets=SECONDS, registry=registry
        )
        self.speech_s = Counter("exomni_speech_seconds_total", "Speech that was made", registry=registry)
        self.refused = Counter("exomni_refused_total", "Who was turned away, and why", ["code"], registry=registry)
        self.errors = Counter("exomni_errors_total", "Errors that clients were told", ["code"], registry=registry)
        self.dropped = Counter("exomni_dropped_clients_total", "Clients that were too slow", registry=registry)
        self.requests = Counter(
            "exomni_http_requests_total", "HTTP requests by endpoint", ["path", "status"], registry=registry
        )

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self._registry)
