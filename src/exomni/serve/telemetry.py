"""What the server tells of itself: logs, one line of JSON for each event, with session ids and without what was said;
and counts, for Prometheus."""

import json
import logging
import sys
import time
import traceback
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Bounds of what histograms count."""
LOGGER = logging.getLogger("exomni.serve")


class JsonLines(logging.Formatter):
    """A record as JSON: time, level, event, and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:  # by its kind and place: its message may hold what was said
            places = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
            line |= {"error": type(error).__name__, "where": places[-6:]}
        return json.dumps(line, ensure_ascii=False)


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Write an event down; `fields` hold ids and numbers, never what was said."""
    LOGGER.log(level, event, extra={"fields": fields}, exc_info=error)


def set_up_logs() -> None:
    """Send all of the server's logs to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("exomni.serve", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    LOGGER.setLevel(logging.INFO)
    # uvicorn names addresses with their query, and a token may stand there: only its complaints are wanted.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


class Metrics:
    """One server's counts, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        counter = partial(Counter, registry=registry)
        self.sessions = Gauge("exomni_sessions", "WebSockets that are open", registry=registry)
        self.replies = counter("exomni_replies_total", "Replies by how they ended", ["status"])
        self.replying = Gauge("exomni_replies_in_progress", "Replies that are being made", registry=registry)
        histogram = partial(Histogram, buckets=SECONDS, registry=registry)
        self.first_audio_s = histogram("exomni_first_audio_seconds", "From the request to the first speech")
        self.transcription_s = histogram("exomni_hearing_seconds", "From the end of a turn to its words")
        self.stop_s = histogram("exomni_stop_seconds", "From hearing a person to the silence of a reply")
        self.speech_s = counter("exomni_speech_seconds_total", "Speech that was made")
        self.refused = counter("exomni_refused_total", "Who was turned away, and why", ["code"])
        self.errors = counter("exomni_errors_total", "Errors that clients were told", ["code"])
        self.dropped = counter("exomni_dropped_clients_total", "Clients that were too slow")
        self.requests = counter("exomni_http_requests_total", "HTTP requests by endpoint", ["path", "status"])

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self._registry)
