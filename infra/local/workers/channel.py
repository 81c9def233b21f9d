"""Messages between the engine and a worker: bytes over a socket, several to a system call."""

import socket
from collections.abc import Iterable, Iterator
from struct import Struct

_LENGTH = Struct("<I")
_RECEIVE_BYTES = 1 << 18


class Channel:
    """One end of a connection; each message has its length in front."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._buffer = bytearray()

    def fileno(self) -> int:
        """Return the file descriptor, for a selector."""
        return self._socket.fileno()

    def send(self, messages: Iterable[bytes]) -> None:
        """Send messages.

        Raises
        ------
        OSError
            The other end is closed.
        """
        self._socket.sendall(b"".join(_LENGTH.pack(len(message)) + message for message in messages))

    def receive(self) -> list[bytes]:
        """Return the messages that have arrived, waiting for the first.

        Raises
        ------
        EOFError, OSError
            The other end is closed, and all its messages are read.
        """
        while not (messages := list(self._messages())):
            chunk = self._socket.recv(_RECEIVE_BYTES)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        return messages

    def _messages(self) -> Iterator[bytes]:
        """Take the complete messages out of the buffer."""
        at = 0
        while len(self._buffer) - at >= _LENGTH.size:
            [length] = _LENGTH.unpack_from(self._buffer, at)
            end = at + _LENGTH.size + length
            if end > len(self._buffer):
                break
            yield bytes(self._buffer[at + _LENGTH.size : end])
            at = end
        del self._buffer[:at]

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
