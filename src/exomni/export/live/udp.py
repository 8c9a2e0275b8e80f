"""Faces as UDP datagrams: Live Link Face's packets for Unreal Engine, VMC for avatar programs, and plain OSC."""

import math
import socket
import struct
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from ...core import arkit
from ...core.errors import InputError, ServiceError
from ...face.rotations import quaternions
from ..column_orders import ORDERS
from ..names import pascal
from ..track import FaceTrack
from ..visemes import blinks, vowels
from .frames import LiveFrame

LIVELINK_PORT = 11111
LIVELINK_VERSION = 6
LIVELINK_SHAPES: Sequence[str] = ORDERS["livelink-udp"]
N_VALUES = len(LIVELINK_SHAPES) + 9
MAX_NAME_BYTES = 255
VMC_PORT = 39539
"""Where a program that shows avatars (a marionette) listens; a performer does on 39540."""
OSC_PORT = 9000
BUNDLE_BYTES = 1400
"""A bundle stays under an Ethernet packet, so that it is not split on the way."""
IMMEDIATELY = b"#bundle\0" + struct.pack(">Q", 1)
VRM0_NAMES = {"aa": "A", "ih": "I", "ou": "U", "ee": "E", "oh": "O", "blinkLeft": "Blink_L", "blinkRight": "Blink_R"}
VMC_NAMES = ("camel", "pascal", "vrm0", "vrm1")
"""How the avatar's expressions are called: `jawOpen`, `JawOpen`, or only vowels and blinks by VRM's names."""


class UdpSender:
    """Sends each face to one place, in as many datagrams as `packets` makes of it."""

    def __init__(self, host: str, port: int) -> None:
        """Find the place.

        Raises:
            InputError: there is no such host.
        """
        try:
            family, kind, proto, _, self._place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except (OSError, UnicodeError) as error:
            raise InputError(f"no host '{host}' ({error})") from None
        self._socket = socket.socket(family, kind, proto)

    def packets(self, frame: LiveFrame) -> Iterable[bytes]:
        """The datagrams of one face."""
        raise NotImplementedError

    def send(self, frame: LiveFrame) -> None:
        """Send one face; that no program is there is no error, as a receiver may start later.

        Raises:
            ServiceError: there is no way to that host.
        """
        for packet in self.packets(frame):
            try:
                self._socket.sendto(packet, self._place)
            except ConnectionRefusedError:
                continue
            except OSError as error:
                raise ServiceError(f"cannot send to {self._place[0]}:{self._place[1]}: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


class LiveLinkSender(UdpSender):
    """One subject, as an iPhone would be."""

    def __init__(self, host: str, port: int = LIVELINK_PORT, name: str = "exomni") -> None:
        """Choose a subject name and make up a device.

        Args:
            host: of the Unreal Engine.
            port: that it listens on.
            name: of the subject, as Unreal shows it.
        Raises:
            InputError: no such host, or a name that does not fit.
        """
        if not 0 < len(name.encode()) <= MAX_NAME_BYTES:
            raise InputError(f"a subject's name has 1 to {MAX_NAME_BYTES} bytes")
        self._name = name
        self._device = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.exomni")).upper()
        super().__init__(host, port)

    def packets(self, frame: LiveFrame) -> list[bytes]:
        """One datagram a face."""
        return [packet(frame, self._name, self._device)]


def packet(frame: LiveFrame, name: str, device: str) -> bytes:
    """A frame's datagram: version, device (a UUID), subject, frame and rate, count, 52 shapes and 9 rotations."""
    values = [*(frame.weights.get(shape, 0.0) for shape in LIVELINK_SHAPES), *frame.head, *frame.eyes.ravel()]
    name_bytes = name.encode()
    head = struct.pack(">Bi", LIVELINK_VERSION, len(device)) + device.encode("ascii")
    head += struct.pack(">i", len(name_bytes)) + name_bytes
    # The denominator is 1, as phones send it; 29.97 counts 30, as its timecode does.
    clock = struct.pack(">ifii", frame.index, 0.0, math.ceil(frame.fps), 1)
    return head + clock + struct.pack(f">B{N_VALUES}f", N_VALUES, *values)


class VmcSender(UdpSender):
    """A performer of the VMC protocol: blendshapes, head and eyes."""

    def __init__(self, host: str, port: int = VMC_PORT, names: str = "pascal") -> None:
        """Choose how the avatar's expressions are called.

        Args:
            host: of the program.
            port: that it listens on.
            names: one of `VMC_NAMES`.
        Raises:
            InputError: no such host or names.
        """
        if names not in VMC_NAMES:
            raise InputError(f"no names '{names}' for VMC; there are {', '.join(VMC_NAMES)}")
        self._names = names
        super().__init__(host, port)

    def packets(self, frame: LiveFrame) -> Iterator[bytes]:
        """Bundles of messages."""
        messages = [message("/VMC/Ext/OK", 1), message("/VMC/Ext/T", frame.time_s)]
        messages += _bones(frame)
        messages += [message("/VMC/Ext/Blend/Val", *pair) for pair in expressions(frame, self._names).items()]
        messages.append(message("/VMC/Ext/Blend/Apply"))
        return bundles(messages)


class OscSender(UdpSender):
    """One float a shape, at `PREFIX/jawOpen`; `PREFIX/head` and `PREFIX/eyes` in radians; `PREFIX/frame`."""

    def __init__(self, host: str, port: int = OSC_PORT, prefix: str = "/exomni") -> None:
        """Choose the addresses.

        Args:
            host: of the program.
            port: that it listens on.
            prefix: of every address.
        Raises:
            InputError: no such host, or a prefix that is no address.
        """
        if not prefix.startswith("/") or set(prefix) & set(" #*,?[]{}") or not prefix.isascii():
            raise InputError(f"'{prefix}' is not the beginning of an OSC address, such as /face")
        self._prefix = prefix.rstrip("/")
        super().__init__(host, port)

    def packets(self, frame: LiveFrame) -> Iterator[bytes]:
        """Bundles of messages."""
        messages = [message(f"{self._prefix}/frame", frame.index)]
        messages += [message(f"{self._prefix}/{name}", value) for name, value in frame.weights.items()]
        messages.append(message(f"{self._prefix}/head", *map(float, frame.head)))
        messages.append(message(f"{self._prefix}/eyes", *map(float, frame.eyes.ravel())))
        return bundles(messages)


def message(address: str, *arguments: str | float | int) -> bytes:
    """One OSC 1.0 message; strings, float32 and int32."""
    tags, body = ",", b""
    for argument in arguments:
        if isinstance(argument, str):
            tags, body = tags + "s", body + _padded(argument)
        elif isinstance(argument, int):
            tags, body = tags + "i", body + struct.pack(">i", argument)
        else:
            tags, body = tags + "f", body + struct.pack(">f", argument)
    return _padded(address) + _padded(tags) + body


def bundles(messages: list[bytes]) -> Iterator[bytes]:
    """Messages in as few bundles as fit a packet each, in order."""
    bundle = IMMEDIATELY
    for each in messages:
        if len(bundle) + 4 + len(each) > BUNDLE_BYTES and bundle != IMMEDIATELY:
            yield bundle
            bundle = IMMEDIATELY
        bundle += struct.pack(">i", len(each)) + each
    yield bundle


def expressions(frame: LiveFrame, names: str) -> Mapping[str, float]:
    """The face's expressions under the avatar's names, see `VMC_NAMES`."""
    if names in ("camel", "pascal"):
        spell = pascal if names == "pascal" else str
        return {spell(name): frame.weights.get(name, 0.0) for name in arkit.NAMES}
    track = FaceTrack(tuple(frame.weights), Fraction(frame.fps), np.array([list(frame.weights.values())]))
    simple = {name: float(curve[0]) for name, curve in {**vowels(track), **blinks(track)}.items()}
    return simple if names == "vrm1" else {VRM0_NAMES[name]: value for name, value in simple.items()}


def _bones(frame: LiveFrame) -> list[bytes]:
    """Head and eyes, in Unity's left-handed axes: x is mirrored, so turns about y and z change their sign."""
    turns = zip(("Head", "LeftEye", "RightEye"), quaternions(np.stack([frame.head, *frame.eyes])).tolist(), strict=True)
    return [message("/VMC/Ext/Bone/Pos", name, 0.0, 0.0, 0.0, x, -y, -z, w) for name, (x, y, z, w) in turns]


def _padded(text: str) -> bytes:
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 4)
