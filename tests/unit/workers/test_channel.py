"""Messages between the engine and a worker arrive complete and in order, for any read size."""

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


def test_several_messages_arrive_in_one_read(
    ends: tuple[socket.socket, Channel],
) -> None:
    theirs, ours = ends
    Channel(theirs).send([b"one", b"", b"three\n"])
    assert ours.receive() == [b"one", b"", b"three\n"]


def test_receive_waits_for_the_rest_of_a_message(ends: tuple[socket.socket, Channel]) -> None:
    theirs, ours = ends
    theirs.sendall(b"\x03\x00\x00\x00one\x05\x00")
    assert ours.receive() == [b"one"]
    theirs.sendall(b"\x00\x00th")
    writer = Thread(target=lambda: theirs.sendall(b"ree"))
    writer.start()
    assert ours.receive() == [b"three"]
    writer.join()


def test_a_large_message_arrives_complete(ends: tuple[socket.socket, Channel]) -> None:
    theirs, ours = ends
    message = bytes(range(256)) * 8_000
    writer = Thread(target=lambda: Channel(theirs).send([message, b"next"]))
    writer.start()
    received: list[bytes] = []
    while len(received) < 2:
        received += ours.receive()
    writer.join()
    assert received == [message, b"next"]


def test_messages_sent_before_the_end_are_received(ends: tuple[socket.socket, Channel]) -> None:
    theirs, ours = ends
    Channel(theirs).send([b"last"])
    theirs.close()
    assert ours.receive() == [b"last"]
    with pytest.raises(EOFError):
        ours.receive()


def test_sending_to_a_closed_end_raises(ends: tuple[socket.socket, Channel]) -> None:
    theirs, ours = ends
    theirs.close()
    with pytest.raises(BrokenPipeError):
        ours.send([b"hello"])
