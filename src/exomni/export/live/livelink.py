"""Live Link Face's packets, as Unreal Engine expects them on port 11111."""

import math
import struct
import uuid
from collections.abc import Sequence

from ...core.errors import InputError
from ..column_orders import ORDERS
from .frames import LiveFrame
from .udp import UdpSender

PORT = 11111
VERSION = 6
SHAPES: Sequence[str] = ORDERS["livelink-udp"]
N_VALUES = len(SHAPES) + 9
MAX_NAME_BYTES = 255


class LiveLinkSender(UdpSender):
    """One subject, as an iPhone would be."""

    def __init__(self, host: str, port: int = PORT, name: str = "exomni") -> None:
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
    """A frame's datagram: version, device, subject, frame and rate, count, 52 shapes and 9 rotations.

    Args:
        frame: the face.
        name: of the subject.
        device: a UUID of 36 characters.
    """
    values = [*(frame.weights.get(shape, 0.0) for shape in SHAPES), *frame.head, *frame.eyes.ravel()]
    name_bytes = name.encode()
    head = struct.pack(">Bi", VERSION, len(device)) + device.encode("ascii")
    head += struct.pack(">i", len(name_bytes)) + name_bytes
    # The denominator is 1, as phones send it; 29.97 counts 30, as its timecode does.
    clock = struct.pack(">ifii", frame.index, 0.0, math.ceil(frame.fps), 1)
    return head + clock + struct.pack(f">B{N_VALUES}f", N_VALUES, *values)
