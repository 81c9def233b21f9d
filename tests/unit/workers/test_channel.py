"""Messages between the engine and a worker arrive whole, in order, whatever a read brings."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from infra.local.workers.channel import Channel


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel]]:
    theirs, ours = socket.socketpair()
    channel = Channel(ours)
    yield theirs, channel
    channel.close()
    theirs.close()


def test_messages_arrive_as_they_were_sent_several_at_once(
    ends: tuple[socket.socket, Channel],
) -> None:
    theirs, ours = ends
    Channel(theirs).send([b"one", b"", b"three\n"])
    assert ours.receive() == [b"one", b"", b"three\n"]


def test_half_a_message_is_waited_for(ends: tuple[socket.socket, Channel]) -> None:
    theirs, ours = ends
    theirs.sendall(b"\x03\x00\x00\x00one\x05\x00")
    assert ours.receive() == [b"one"]
    theirs.sendall(b"\x00\x00th")
    writer = Thread(target=lambda: theirs.sendall(b"ree"))
    writer.start()
    assert ours.receive() == [b"three"]
    writer.join()


def test_a_large_message_arrives_whole(ends: tuple[socket.socket, Channel]) -> None:
    theirs, ours = ends
    message = bytes(range(256)) * 8_000
    writer = Thread(target=lambda: Channel(theirs).send([message, b"next"]))
    writer.start()
    received: list[bytes] = []
    while len(received) < 2:
        received += ours.receive()
    writer.join()
    assert received == [message, b"next"]


def test_what_was_said_before_the_end_counts(ends: tuple[socket.socket, Channel]) -> None:
    theirs, ours = ends
    Channel(theirs).send([b"last"])
    theirs.close()
    assert ours.receive() == [b"last"]
    with pytest.raises(EOFError):
        ours.receive()


def test_who_has_gone_is_sent_nothing(ends: tuple[socket.socket, Channel]) -> None:
    theirs, ours = ends
    theirs.close()
    with pytest.raises(BrokenPipeError):
        ours.send([b"hello"])
