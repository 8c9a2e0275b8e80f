"""UDP with errors that a person understands."""

import socket

from exomni.core.errors import InputError, ServiceError


class UdpSocket:
    """Sends datagrams to one place."""

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

    def send(self, data: bytes) -> None:
        """Send a datagram; nobody listening is no error, as a receiver may start later.

        Raises:
            ServiceError: there is no way to that host.
        """
        try:
            self._socket.sendto(data, self._place)
        except ConnectionRefusedError:
            return
        except OSError as error:
            raise ServiceError(f"cannot send to {self._place[0]}:{self._place[1]}: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
