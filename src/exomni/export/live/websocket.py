"""Faces as JSON over WebSocket: to a server, to all who connect to us, and from them."""

import json
import threading
from collections.abc import Iterator
from fractions import Fraction
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from exomni.core.errors import FormatError, InputError, ServiceError
from exomni.core.timebase import FRAME_HZ

from ..names import understand
from ..track import FaceTrack, as_rate, numbers
from .frames import LiveFrame, neutral

if TYPE_CHECKING:
    from websockets.sync.server import ServerConnection

DECIMALS = 5
CONNECT_S = 5.0


def as_json(frame: LiveFrame) -> str:
    """`{"type": "face", "index", "time_s", "fps", "weights": {name: value}, "head": [3], "eyes": [[3], [3]]}`."""
    return json.dumps(
        {
            "type": "face",
            "index": frame.index,
            "time_s": round(frame.time_s, DECIMALS),
            "fps": float(frame.fps),
            "weights": {name: round(value, DECIMALS) for name, value in frame.weights.items()},
            "head": [round(float(angle), DECIMALS) for angle in frame.head],
            "eyes": [[round(float(angle), DECIMALS) for angle in eye] for eye in frame.eyes],
        },
        separators=(",", ":"),
    )


def from_json(text: str | bytes, index: int) -> LiveFrame:
    """What `as_json` writes, with names in any convention; `weights` is enough, and counting is done here.

    Args:
        text: one JSON object.
        index: of the frame in the performance.
    Raises:
        FormatError: it is no such thing; the message has the reason.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        raise FormatError(f"not JSON: {error}") from None
    if not isinstance(given, dict) or given.get("type") != "face" or not isinstance(given.get("weights"), dict):
        raise FormatError('not {"type": "face", "weights": {NAME: VALUE, …}}')
    names, values = list(given["weights"]), list(given["weights"].values())
    columns = understand(names).columns
    frames = numbers("frames", [[values[i] for i in columns.values()]], (1, len(columns)), list(columns))
    track = FaceTrack(tuple(columns), as_rate(given.get("fps", FRAME_HZ)), frames)
    head, eyes = given.get("head"), given.get("eyes")
    return LiveFrame(
        index=index,
        fps=track.fps,
        weights=dict(zip(track.names, track.frames[0].tolist(), strict=True)),
        head=np.zeros(3) if head is None else numbers("head rotation", [head], (1, 3))[0],
        eyes=np.zeros((2, 3)) if eyes is None else numbers("eye rotation", [eyes], (1, 2, 3))[0],
    )


class WebSocketSender:
    """A client of another server."""

    def __init__(self, url: str) -> None:
        """Connect.

        Args:
            url: `ws://` or `wss://`.
        Raises:
            InputError: it is no such address.
            ServiceError: no server answers there.
        """
        from websockets.exceptions import InvalidURI, WebSocketException
        from websockets.sync.client import connect

        try:
            self._socket = connect(url, open_timeout=CONNECT_S)
        except InvalidURI as error:
            raise InputError(str(error)) from None
        except (OSError, WebSocketException) as error:
            raise ServiceError(f"nobody answers at {url}: {error}") from error
        self._url = url

    def send(self, frame: LiveFrame) -> None:
        """Send one face. Raises ServiceError when the server has gone."""
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(as_json(frame))
        except ConnectionClosed as error:
            raise ServiceError(f"{self._url} has closed the connection: {error}") from error

    def close(self) -> None:
        """Say goodbye."""
        self._socket.close()


class WebSocketHost:
    """A server that sends every face to every connected client, such as a web page, and takes theirs."""

    def __init__(self, host: str, port: int) -> None:
        """Listen.

        Args:
            host: address to listen on; only this machine reaches `127.0.0.1`.
            port: to listen on; 0 takes a free one.
        Raises:
            ServiceError: the port is taken.
        """
        from websockets.sync.server import serve

        self._clients: set = set()
        self._inbox: SimpleQueue[tuple[Any, str | bytes | None]] = SimpleQueue()
        self._origin: Any = None
        try:
            self._server = serve(self._greet, host, port)
        except OSError as error:
            raise ServiceError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """What others connect to."""
        host, port, *_ = self._server.socket.getsockname()
        return f"ws://{f'[{host}]' if ':' in host else host}:{port}"

    def send(self, frame: LiveFrame) -> None:
        """Send one face to all clients but the one that sent it; those that have gone are dropped."""
        text = as_json(frame)
        for client in self._clients - {self._origin}:
            self._tell(client, text)

    def faces(self) -> Iterator[LiveFrame]:
        """Faces that the connected send, as they come, without an end; at rest when they leave.

        A client that sends something else gets an error message.
        """
        index, origins = 0, set()
        while True:
            self._origin, text = self._inbox.get()
            if text is None and self._origin not in origins:
                continue
            try:
                frame = neutral(index, Fraction(FRAME_HZ)) if text is None else from_json(text, index)
            except FormatError as error:
                self._tell(self._origin, json.dumps({"type": "error", "message": str(error)}))
                continue
            origins.add(self._origin)
            index += 1
            yield frame

    def close(self) -> None:
        """Close every connection and stop listening."""
        for client in list(self._clients):
            client.close()
        self._server.shutdown()
        self._thread.join()

    def _greet(self, client: "ServerConnection") -> None:
        self._clients.add(client)
        try:
            for text in client:
                self._inbox.put((client, text))
        finally:
            self._clients.discard(client)
            self._inbox.put((client, None))

    def _tell(self, client: "ServerConnection", text: str) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            client.send(text)
        except ConnectionClosed:
            self._clients.discard(client)
