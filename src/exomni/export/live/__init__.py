"""Faces sent live to other programs, in step with the audio."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ...core.errors import InputError
from ..face_sources import load_fitted
from ..profile import Profile
from .clock import Clock, WallClock
from .frames import Sender, ahead, frames_of, frames_of_events
from .perform import Performance, perform
from .sound import Microphone, Player
from .udp import LIVELINK_PORT, OSC_PORT, VMC_PORT, LiveLinkSender, OscSender, VmcSender
from .websocket import WebSocketHost, WebSocketSender

__all__ = [
    "DESTINATIONS",
    "Microphone",
    "Performance",
    "Player",
    "ahead",
    "frames_of",
    "frames_of_events",
    "live",
    "perform",
    "sender",
]

_UDP: dict[str, tuple[Callable[..., Sender], int, tuple[str, ...]]] = {
    "livelink": (LiveLinkSender, LIVELINK_PORT, ("name",)),
    "vmc": (VmcSender, VMC_PORT, ("names",)),
    "osc": (OscSender, OSC_PORT, ("prefix",)),
}
DESTINATIONS = {
    "livelink://HOST[:11111][?name=SUBJECT]": "Unreal Engine's Live Link Face",
    "vmc://HOST[:39539][?names=camel|pascal|vrm0|vrm1]": "VSeeFace, Warudo, VMagicMirror, VNyan and others",
    "osc://HOST[:9000][?prefix=/exomni]": "TouchDesigner, Max, Resolume and whatever speaks OSC",
    "ws://HOST:PORT/PATH": "any WebSocket server, as JSON",
    "ws-serve://HOST:PORT": "all that connect here, such as a web page, as JSON",
}


def sender(url: str) -> Sender:
    """Open a destination.

    Args:
        url: one of the kinds in `DESTINATIONS`.
    Raises:
        InputError: it is none of them.
        ServiceError: no server answers there, or the port is taken.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise InputError(f"'{url}': {error}") from None
    if parts.scheme in ("ws", "wss"):
        return WebSocketSender(url)
    if not host or parts.scheme not in (*_UDP, "ws-serve"):
        raise InputError(f"'{url}' is no destination; there are {', '.join(DESTINATIONS)}")
    if parts.scheme == "ws-serve":
        return WebSocketHost(host, port or 0)
    make, usual_port, keys = _UDP[parts.scheme]
    options = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if set(options) - set(keys):
        raise InputError(f"'{url}': {parts.scheme} knows {', '.join(keys)}, not {', '.join(options)}")
    return make(host, port or usual_port, **options)


def live(
    source: Any,
    to: Sequence[str],
    *,
    profile: Profile | None = None,
    clock: Clock | None = None,
    play: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    fps: Any = None,
    order: str | None = None,
) -> Performance:
    """Send a face to other programs at its own pace, and leave them with a neutral face.

    Args:
        source: anything that `face_sources.load` takes, or an iterator of stream events (`frames_of_events`).
        to: destinations, see `DESTINATIONS`.
        profile: of the character; not for streams.
        clock: whose time to follow; the audio's with `play`, else the wall's.
        play: play the audio here and follow it.
        stopped: asked before each frame; True ends it.
        fps: frames a second of the source, over what it says.
        order: of the source's columns, where they have no names.
    Raises:
        InputError, FormatError: the source or a destination cannot be understood.
        ServiceError: a destination, or the sound card, is not there.
    """
    with ExitStack() as opened:
        if isinstance(source, Iterable) and iter(source) is source:
            frames = frames_of_events(source)
        else:
            track = load_fitted(source, profile, fps=fps, order=order).track
            if play:
                clock = Player(track.audio, track.sample_hz)
                opened.callback(clock.close)
            frames = frames_of(track)
        senders = []
        for url in to:
            senders.append(sender(url))
            opened.callback(senders[-1].close)
        return perform(frames, senders, clock or WallClock(), stopped)
