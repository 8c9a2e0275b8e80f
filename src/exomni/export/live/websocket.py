"""Faces as JSON over WebSocket: to a server, or to everybody who connects to us."""

import json
import threading

from exomni.core.errors import InputError, ServiceError

from .frames import LiveFrame

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


class WebSocketSender:
    """A client of somebody's server."""

    def __init__(self, url: str) -> None:
        """Connect.

        Args:
            url: `ws://` or `wss://`.
        Raises:
            InputError: it is no such address.
            ServiceError: nobody answers there.
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
    """A server that sends every face to everybody who is connected, such as a web page."""

    def __init__(self, host: str, port: int) -> None:
        """Listen.

        Args:
            host: address to listen on; only this machine hears `127.0.0.1`.
            port: to listen on; 0 takes a free one.
        Raises:
            ServiceError: the port is taken.
        """
        from websockets.sync.server import serve

        self._listeners: set = set()
        try:
            self._server = serve(self._greet, host, port)
        except OSError as error:
            raise ServiceError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.socket.getsockname()[1]

    def send(self, frame: LiveFrame) -> None:
        """Send one face; who has gone is forgotten."""
        from websockets.exceptions import ConnectionClosed

        text = as_json(frame)
        for listener in list(self._listeners):
            try:
                listener.send(text)
            except ConnectionClosed:
                self._listeners.discard(listener)

    def close(self) -> None:
        """Send everybody away and stop listening."""
        for listener in list(self._listeners):
            listener.close()
        self._server.shutdown()
        self._thread.join()

    def _greet(self, listener) -> None:
        self._listeners.add(listener)
        try:
            for _ in listener:
                pass
        finally:
            self._listeners.discard(listener)
