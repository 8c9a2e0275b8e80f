"""The base of senders that send each face as UDP datagrams."""

import socket
from collections.abc import Iterable

from ...core.errors import InputError, ServiceError
from .frames import LiveFrame


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
