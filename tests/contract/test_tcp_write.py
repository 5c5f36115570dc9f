"""What may be written, when it goes out, and when the protocol is told to pause."""

import array
import asyncio

import pytest

from support import Recorder, connected, gone, receive_all, reports, until


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytes"),
        memoryview(b"bytes"),
        memoryview(bytearray(b"bytes")),
        memoryview(b"xbytesx")[1:6],
    ],
    ids=["bytes", "bytearray", "memoryview", "writable memoryview", "slice"],
)
def test_bytes_like_objects_are_written(loop, data):
    async def main():
        transport, protocol, peer = await connected()
        transport.write(data)
        transport.writelines([data, data])
        transport.close()
        await gone(protocol)
        assert receive_all(peer) == b"bytes" * 3
        peer.close()

    loop.run_until_complete(main())


def test_memoryview_of_wide_items_is_written_as_its_bytes(loop):
    numbers = array.array("I", range(1000))

    async def main():
        transport, protocol, peer = await connected()
        transport.write(memoryview(numbers).cast("B"))
        transport.close()
        await gone(protocol)
        assert receive_all(peer) == numbers.tobytes()
        peer.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("data", ["text", 1, None, [b"x"], object()], ids=["str", "int", "None", "list", "object"])
def test_writing_something_else_is_a_type_error(loop, data):
    async def main():
        transport, protocol, peer = await connected()
        with pytest.raises(TypeError, match="data argument must be a bytes.* not"):
            transport.write(data)
        transport.write(b"still open")
        transport.close()
        await gone(protocol)
        assert receive_all(peer) == b"still open"
        peer.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("lines", [1, [1], ["text"], [b"x", 1]], ids=repr)
def test_writelines_of_something_else_is_a_type_error(loop, lines):
    async def main():
        transport, protocol, peer = await connected()
        with pytest.raises(TypeError):
            transport.writelines(lines)
        transport.abort()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_empty_writes_are_harmless(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.write(b"")
        transport.write(bytearray())
        transport.writelines([])
        assert transport.get_write_buffer_size() == 0
        transport.close()
        await gone(protocol)
        assert receive_all(peer) == b""
        peer.close()

    loop.run_until_complete(main())


def test_writelines_takes_any_iterable_and_keeps_the_order(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.write(b"<")
        transport.writelines(b"%d," % number for number in range(3000))
        transport.writelines((bytearray(b"a"), memoryview(b"b"), b"c"))
        transport.write(b">")
        transport.close()
        expected = b"<" + b"".join(b"%d," % number for number in range(3000)) + b"abc>"
        assert await asyncio.to_thread(receive_all, peer) == expected
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_mutable_buffer_may_be_changed_after_the_write(loop):
    async def main():
        transport, protocol, peer = await connected()
        data = bytearray(b"before")
        transport.write(data)
        data[:] = b"after."
        transport.writelines([data, memoryview(data)])
        data[:] = b"later."
        transport.close()
        await gone(protocol)
        assert receive_all(peer) == b"beforeafter.after."
        peer.close()

    loop.run_until_complete(main())


def test_small_write_leaves_an_empty_buffer_at_once(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.write(b"small")
        assert transport.get_write_buffer_size() == 0
        transport.writelines([b"small", b"too"])
        assert transport.get_write_buffer_size() == 0
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_forty_writes_of_two_kilobytes_in_one_turn_never_pause(loop):
    async def main():
        transport, protocol, peer = await connected()
        for _ in range(40):
            transport.write(b"x" * 2048)
        assert "pause" not in protocol.events
        assert transport.get_write_buffer_size() == 0
        await asyncio.sleep(0)
        assert "pause" not in protocol.events
        transport.close()
        assert len(await asyncio.to_thread(receive_all, peer)) == 40 * 2048
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_written_bytes_reach_the_peer_although_the_loop_does_not_turn_again_for_long(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.write(b"now")
        await asyncio.sleep(0)
        peer.setblocking(True)
        assert peer.recv(10) == b"now"
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_full_buffer_pauses_once_and_resumes_once(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        sent = b"x" * 3_000_000
        transport.write(sent)
        assert protocol.events == ["made", "pause"], "the pause comes inside the write"
        transport.write(b"more")
        assert protocol.events == ["made", "pause"]
        size = transport.get_write_buffer_size()
        assert 0 < size <= len(sent) + 4
        reading = asyncio.create_task(asyncio.to_thread(receive_all, peer))
        await until(lambda: "resume" in protocol.events)
        assert transport.get_write_buffer_size() <= transport.get_write_buffer_limits()[0]
        transport.close()
        assert await reading == sent + b"more"
        await gone(protocol)
        assert protocol.events == ["made", "pause", "resume", "lost"]
        peer.close()

    loop.run_until_complete(main())


def test_default_water_marks(loop):
    async def main():
        transport, protocol, peer = await connected()
        assert transport.get_write_buffer_limits() == (16384, 65536)
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("arguments", "limits"),
    [
        ({}, (16384, 65536)),
        ({"high": 1000}, (250, 1000)),
        ({"low": 1000}, (1000, 4000)),
        ({"high": 1000, "low": 10}, (10, 1000)),
        ({"high": 1000, "low": 1000}, (1000, 1000)),
        ({"high": 0}, (0, 0)),
        ({"low": 0}, (0, 0)),
        ({"high": 10, "low": 0}, (0, 10)),
    ],
)
def test_water_marks_are_set_and_given_back(loop, arguments, limits):
    async def main():
        transport, protocol, peer = await connected()
        transport.set_write_buffer_limits(**arguments)
        assert transport.get_write_buffer_limits() == limits
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("arguments", [{"high": 1, "low": 2}, {"high": -1}, {"low": -1, "high": 10}])
def test_wrong_water_marks_are_a_value_error(loop, arguments):
    async def main():
        transport, protocol, peer = await connected()
        with pytest.raises(ValueError, match="must be >= low"):
            transport.set_write_buffer_limits(**arguments)
        assert transport.get_write_buffer_limits() == (16384, 65536)
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_high_water_mark_of_zero_pauses_as_soon_as_anything_waits(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        transport.set_write_buffer_limits(high=0)
        transport.write(b"fits")
        assert "pause" not in protocol.events
        transport.write(b"x" * 3_000_000)
        assert "pause" in protocol.events
        reading = asyncio.create_task(asyncio.to_thread(receive_all, peer))
        await until(lambda: "resume" in protocol.events)
        assert transport.get_write_buffer_size() == 0
        transport.close()
        assert len(await reading) == 3_000_004
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_lowering_the_high_water_mark_below_the_buffer_pauses(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        transport.set_write_buffer_limits(high=10_000_000)
        transport.write(b"x" * 3_000_000)
        assert "pause" not in protocol.events
        transport.set_write_buffer_limits(high=1000)
        assert "pause" in protocol.events
        transport.abort()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_writelines_obeys_the_water_marks_too(loop):
    """cpython #127655: it did not, on some versions."""

    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        for _ in range(100):
            transport.writelines([b"x" * 20_000, b"y" * 20_000])
        transport.write(b"")
        transport.write(b"z")
        assert "pause" in protocol.events
        transport.abort()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_abort_while_paused_does_not_resume(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        transport.write(b"x" * 3_000_000)
        transport.abort()
        await gone(protocol)
        assert protocol.events == ["made", "pause", "lost"]
        peer.close()

    loop.run_until_complete(main())


def test_pause_writing_that_raises_is_reported_and_the_data_still_goes(loop):
    class Protocol(Recorder):
        def pause_writing(self):
            raise LookupError("pause fails")

        def resume_writing(self):
            raise LookupError("resume fails")

    async def main():
        transport, protocol, peer = await connected(Protocol(), sndbuf=8192, rcvbuf=8192)
        transport.write(b"x" * 3_000_000)
        transport.close()
        assert len(await asyncio.to_thread(receive_all, peer)) == 3_000_000
        await gone(protocol)
        peer.close()
        return transport

    with reports(loop) as seen:
        transport = loop.run_until_complete(main())
    assert [context["message"] for context in seen] == [
        "protocol.pause_writing() failed",
        "protocol.resume_writing() failed",
    ]
    assert {type(context["exception"]) for context in seen} == {LookupError}
    assert all(context["transport"] is transport for context in seen)
    assert all("protocol" in context for context in seen)
    seen.clear()


def test_protocol_may_write_more_from_resume_writing(loop):
    class Protocol(Recorder):
        def resume_writing(self):
            super().resume_writing()
            if self.events.count("resume") < 3:
                self.transport.write(b"y" * 1_000_000)
            else:
                self.transport.close()

    async def main():
        transport, protocol, peer = await connected(Protocol(), sndbuf=8192, rcvbuf=8192)
        transport.write(b"x" * 1_000_000)
        assert len(await asyncio.to_thread(receive_all, peer)) == 3_000_000
        await gone(protocol)
        assert protocol.events == ["made"] + ["pause", "resume"] * 3 + ["lost"]
        peer.close()

    loop.run_until_complete(main())


def test_write_from_within_data_received_keeps_the_order(loop):
    class Echo(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(b"<")
            self.transport.write(data)
            self.transport.write(b">")

    async def main():
        transport, protocol, peer = await connected(Echo())

        def talk():
            got = []
            for number in range(100):
                peer.sendall(b"%d" % number)
                answer = b""
                while not answer.endswith(b">"):
                    answer += peer.recv(100)
                got.append(answer)
            return got

        assert await asyncio.to_thread(talk) == [b"<%d>" % number for number in range(100)]
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())
