"""Messages between the engine and a worker: bytes over a socket, several to a system call."""

import socket
from collections.abc import Iterable, Iterator
from struct import Struct

_LENGTH = Struct("<I")
_PIECE = 1 << 18


class Channel:
    """One end of a connection."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._come_in = bytearray()

    def fileno(self) -> int:
        """Return what a selector waits for."""
        return self._socket.fileno()

    def send(self, messages: Iterable[bytes]) -> None:
        """Send messages; raises `OSError` if the other end has gone."""
        self._socket.sendall(b"".join(_LENGTH.pack(len(one)) + one for one in messages))

    def receive(self) -> list[bytes]:
        """Return the messages that have come in, waiting for the first.

        Raises
        ------
        EOFError, OSError
            The other end has gone, and nothing of it is left.
        """
        while not (messages := list(self._messages())):
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise EOFError
            self._come_in += piece
        return messages

    def _messages(self) -> Iterator[bytes]:
        """Take the whole messages out of what has come in."""
        at = 0
        while len(self._come_in) - at >= _LENGTH.size:
            [length] = _LENGTH.unpack_from(self._come_in, at)
            end = at + _LENGTH.size + length
            if end > len(self._come_in):
                break
            yield bytes(self._come_in[at + _LENGTH.size : end])
            at = end
        del self._come_in[:at]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
