"""Logs: one line of JSON for each event, with session ids and without what was said."""

import json
import logging
import sys
import time
import traceback

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
        if record.exc_info and record.exc_info[1] is not None:
            line |= _trouble(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def _trouble(error: BaseException) -> dict[str, object]:
    """An error by its kind and place; its message may hold what was said."""
    places = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    return {"error": type(error).__name__, "where": places[-6:]}


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
