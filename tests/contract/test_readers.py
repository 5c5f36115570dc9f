"""add_reader and add_writer: level-triggered watching of descriptors."""

import asyncio
import os
import socket

import pytest

from support import reports, turn


@pytest.fixture
def pair():
    """Two connected non-blocking sockets."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


def drained(sock):
    try:
        return sock.recv(1000)
    except BlockingIOError:
        return b""


def test_reader_is_called_with_its_arguments_when_there_is_something_to_read(loop, pair):
    ours, theirs = pair
    seen = []
    assert loop.add_reader(ours, lambda *args: seen.append((args, drained(ours))), 1, "two") is None
    turn(loop, 2)
    assert seen == []
    theirs.send(b"x")
    turn(loop, 2)
    assert seen == [((1, "two"), b"x")]
    assert loop.remove_reader(ours) is True


def test_reader_is_called_again_while_there_is_something_to_read(loop, pair):
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, seen.append, 1)
    theirs.send(b"x")
    turn(loop, 5)
    assert len(seen) >= 3
    drained(ours)
    turn(loop)
    count = len(seen)
    turn(loop, 3)
    assert len(seen) <= count + 1
    loop.remove_reader(ours)


def test_writer_is_called_while_there_is_room(loop, pair):
    ours, theirs = pair
    seen = []
    loop.add_writer(ours, seen.append, "room")
    turn(loop, 3)
    assert len(seen) >= 2
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(b"x" * 10_000)
    turn(loop, 2)
    count = len(seen)
    turn(loop, 3)
    assert len(seen) == count
    with pytest.raises(BlockingIOError):
        while True:
            theirs.recv(100_000)
    turn(loop, 3)
    assert len(seen) > count
    assert loop.remove_writer(ours) is True


def test_removing_what_is_not_there_is_false(loop, pair):
    ours, _ = pair
    assert loop.remove_reader(ours) is False
    assert loop.remove_writer(ours) is False
    loop.add_reader(ours, print)
    assert loop.remove_writer(ours) is False
    assert loop.remove_reader(ours) is True
    assert loop.remove_reader(ours) is False


@pytest.mark.parametrize("kind", ["number", "object with fileno"])
def test_descriptor_may_be_given_as_number_or_object(loop, pair, kind):
    ours, theirs = pair
    fd = ours.fileno() if kind == "number" else ours
    seen = []
    loop.add_reader(fd, seen.append, 1)
    theirs.send(b"x")
    turn(loop, 2)
    assert seen
    assert loop.remove_reader(ours.fileno()) is True


@pytest.mark.parametrize("fd", ["text", None, object(), 1.5], ids=["text", "None", "object", "float"])
def test_descriptor_that_is_none_is_refused(loop, fd):
    with pytest.raises((ValueError, TypeError), match="Invalid file object|integer"):
        loop.add_reader(fd, print)


def test_negative_descriptor_is_a_value_error(loop):
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        loop.add_reader(-1, print)


def test_closed_descriptor_is_an_os_error(loop):
    left, right = socket.socketpair()
    fd = left.fileno()
    left.close()
    right.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.add_reader(fd, print)
    turn(loop, 2)


def test_regular_file_is_refused_with_the_kernels_error(loop, tmp_path):
    with (tmp_path / "file").open("wb") as file, pytest.raises(PermissionError):
        loop.add_reader(file, print)
    turn(loop, 2)


def test_new_reader_replaces_the_old_one(loop, pair):
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, seen.append, "old")
    loop.add_reader(ours, lambda: (seen.append("new"), drained(ours)))
    theirs.send(b"x")
    turn(loop, 2)
    assert seen == ["new"]
    loop.remove_reader(ours)


def test_reader_replaced_by_another_one_of_the_same_turn_does_not_run(loop):
    pairs = [socket.socketpair() for _ in range(2)]
    seen = []

    def old(mine, other):
        seen.append("old")
        drained(pairs[mine][0])
        loop.add_reader(pairs[other][0], new, other)

    def new(index):
        seen.append("new")
        loop.remove_reader(pairs[index][0])

    for mine, other in ((0, 1), (1, 0)):
        loop.add_reader(pairs[mine][0], old, mine, other)
        pairs[mine][1].send(b"x")
    turn(loop, 4)
    assert seen == ["old", "new"]
    for left, right in pairs:
        loop.remove_reader(left)
        left.close()
        right.close()


def test_reader_and_writer_of_one_descriptor_are_apart(loop, pair):
    """rloop: an unreachable!() in add_writer aborted the process."""
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, lambda: (seen.append("read"), drained(ours)))
    loop.add_writer(ours, seen.append, "write")
    turn(loop, 2)
    assert set(seen) == {"write"}
    theirs.send(b"x")
    turn(loop, 2)
    assert "read" in seen
    assert loop.remove_writer(ours) is True
    seen.clear()
    turn(loop, 2)
    assert "write" not in seen[1:]
    theirs.send(b"x")
    turn(loop, 2)
    assert "read" in seen
    assert loop.remove_reader(ours) is True


def test_reader_may_remove_itself(loop, pair):
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, lambda: (seen.append(1), loop.remove_reader(ours)))
    theirs.send(b"x")
    turn(loop, 4)
    assert seen == [1]
    assert loop.remove_reader(ours) is False


def test_reader_removed_by_another_one_of_the_same_turn_does_not_run(loop):
    pairs = [socket.socketpair() for _ in range(2)]
    seen = []

    def read(mine, other):
        seen.append(mine)
        loop.remove_reader(pairs[other][0])
        loop.remove_reader(pairs[mine][0])

    for mine, other in ((0, 1), (1, 0)):
        loop.add_reader(pairs[mine][0], read, mine, other)
    for _, theirs in pairs:
        theirs.send(b"x")
    turn(loop, 4)
    assert len(seen) == 1
    for left, right in pairs:
        left.close()
        right.close()


def test_hang_up_calls_the_reader(loop, pair):
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, lambda: (seen.append(ours.recv(10)), loop.remove_reader(ours)))
    theirs.close()
    turn(loop, 2)
    assert seen == [b""]


def test_hang_up_of_a_pipe_calls_reader_and_writer(loop):
    read_end, write_end = os.pipe()
    seen = []
    loop.add_writer(write_end, lambda: (seen.append("writer"), loop.remove_writer(write_end)))
    os.close(read_end)
    turn(loop, 3)
    os.close(write_end)
    read_end, write_end = os.pipe()
    loop.add_reader(read_end, lambda: (seen.append("reader"), loop.remove_reader(read_end)))
    os.close(write_end)
    turn(loop, 3)
    os.close(read_end)
    assert seen == ["writer", "reader"]


def test_descriptor_closed_behind_the_back_can_be_removed(loop):
    left, right = socket.socketpair()
    fd = left.fileno()
    loop.add_reader(fd, print)
    left.close()
    turn(loop, 3)
    assert loop.remove_reader(fd) is True
    turn(loop, 2)
    right.close()


def test_descriptor_given_out_again_is_watched_anew(loop):
    """A late event of the old owner must not reach the new one, nor the new one be forgotten."""
    left, right = socket.socketpair()
    fd = left.fileno()
    seen = []
    loop.add_reader(fd, seen.append, "old")
    loop.remove_reader(fd)
    left.close()
    again, again_peer = socket.socketpair()
    try:
        assert fd in (again.fileno(), again_peer.fileno())
        ours, theirs = (again, again_peer) if again.fileno() == fd else (again_peer, again)
        loop.add_reader(fd, lambda: (seen.append("new"), drained(ours)))
        turn(loop, 2)
        assert seen == []
        theirs.send(b"x")
        turn(loop, 2)
        assert seen == ["new"]
        assert loop.remove_reader(fd) is True
    finally:
        for sock in (right, again, again_peer):
            sock.close()


def test_descriptor_closed_without_removal_and_given_out_again_reaches_the_new_reader(loop):
    left, right = socket.socketpair()
    fd = left.fileno()
    seen = []
    loop.add_reader(fd, seen.append, "old")
    left.close()
    again, again_peer = socket.socketpair()
    try:
        ours, theirs = (again, again_peer) if again.fileno() == fd else (again_peer, again)
        assert ours.fileno() == fd
        loop.remove_reader(fd)
        loop.add_reader(fd, lambda: (seen.append("new"), drained(ours)))
        theirs.send(b"x")
        turn(loop, 3)
        assert seen == ["new"]
        loop.remove_reader(fd)
    finally:
        for sock in (right, again, again_peer):
            sock.close()


def test_exception_in_a_reader_is_reported_and_it_stays(loop, pair):
    ours, theirs = pair
    ran = []

    def read():
        ran.append(drained(ours))
        raise LookupError("reader")

    loop.add_reader(ours, read)
    with reports(loop) as seen:
        for data in (b"1", b"2"):
            theirs.send(data)
            turn(loop, 2)
    assert ran == [b"1", b"2"]
    assert [type(context["exception"]) for context in seen] == [LookupError] * 2
    assert "handle" in seen[0]
    seen.clear()
    loop.remove_reader(ours)


def test_loop_waits_for_readers_while_it_has_nothing_else_to_do(loop, pair):
    import threading

    ours, theirs = pair
    loop.add_reader(ours, loop.stop)
    thread = threading.Thread(target=theirs.send, args=(b"x",))
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    loop.remove_reader(ours)


def test_readers_survive_the_end_of_a_run(loop, pair):
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, lambda: seen.append(drained(ours)))
    for number in range(3):
        theirs.send(b"%d" % number)
        turn(loop, 2)
    assert seen == [b"0", b"1", b"2"]
    loop.remove_reader(ours)


def test_reader_and_its_arguments_are_let_go_on_removal(loop, pair):
    import gc
    import weakref

    class Argument:
        pass

    argument = Argument()
    seen = weakref.ref(argument)
    loop.add_reader(pair[0], print, argument)
    del argument
    assert seen() is not None
    loop.remove_reader(pair[0])
    turn(loop)
    gc.collect()
    assert seen() is None


def test_thousand_descriptors_are_watched_at_once(loop):
    pairs = [socket.socketpair() for _ in range(500)]
    seen = []
    for number, (ours, _) in enumerate(pairs):
        loop.add_reader(ours, lambda number=number, ours=ours: (seen.append(number), drained(ours)))
    for _, theirs in pairs:
        theirs.send(b"x")

    async def main():
        while len(seen) < len(pairs):
            await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(main(), 10))
    assert sorted(seen) == list(range(500))
    for ours, theirs in pairs:
        assert loop.remove_reader(ours)
        ours.close()
        theirs.close()


def test_closing_the_loop_forgets_the_readers(make_loop, pair):
    loop = make_loop()
    loop.add_reader(pair[0], print)
    loop.close()
    assert pair[0].fileno() >= 0
    pair[1].send(b"open")
    assert drained(pair[0]) == b"open"
