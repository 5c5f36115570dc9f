"""Datagrams that the kernel refuses for now: the queue, its water marks, its end."""

import asyncio
import errno
import sys

import pytest
from datagrams import DatagramRecorder, endpoint, full_pair, read_all

from support import gone, reports, until

HEADER_BYTES = 8 if sys.version_info >= (3, 13) else 0


def test_what_is_refused_is_queued_and_sent_in_order(loop, run):
    async def main():
        async with full_pair() as (transport, protocol, peer, sent):
            for number in range(100):
                sent.append(b"more %d" % number)
                transport.sendto(sent[-1])
            assert await read_all(peer, len(sent)) == sent
            await until(lambda: "write=<idle" in repr(transport))
            assert protocol.errors == []

    run(main())


def test_each_datagram_in_the_queue_counts_with_a_header_from_3_13_on(loop, run):
    async def main():
        async with full_pair() as (transport, _, _peer, sent):
            size = transport.get_write_buffer_size()
            assert size == len(sent[-1]) + HEADER_BYTES
            transport.sendto(b"x" * 100)
            assert transport.get_write_buffer_size() == size + 100 + HEADER_BYTES

    run(main())


def test_what_is_queued_does_not_change_with_its_source(loop, run):
    async def main():
        async with full_pair() as (transport, _, peer, sent):
            for kind in (bytearray, memoryview):
                source = bytearray(b"before")
                transport.sendto(source if kind is bytearray else memoryview(source))
                source[:] = b"after!"
            assert (await read_all(peer, len(sent) + 2))[-2:] == [b"before", b"before"]

    run(main())


def test_the_protocol_is_paused_and_resumed_at_the_water_marks(loop, run):
    async def main():
        async with full_pair() as (transport, protocol, peer, sent):
            transport.set_write_buffer_limits(high=1000, low=100)
            assert transport.get_write_buffer_limits() == (100, 1000)
            while "pause" not in protocol.events:
                transport.sendto(b"x" * 50)
                sent.append(b"x" * 50)
            assert transport.get_write_buffer_size() > 1000
            transport.sendto(b"once is enough")
            sent.append(b"once is enough")
            assert protocol.events == ["made", "pause"]
            await read_all(peer, len(sent))
            # asyncio 3.13 forgets to subtract the headers again, and so resumes late or never.
            if transport.get_write_buffer_size() == 0:
                await until(lambda: protocol.events == ["made", "pause", "resume"])

    run(main())


def test_limits_that_contradict_each_other(loop, run):
    async def main():
        async with endpoint() as (transport, _):
            with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\) must be >= 0"):
                transport.set_write_buffer_limits(high=1, low=2)
            assert transport.get_write_buffer_limits() == (16384, 65536)

    run(main())


def test_close_sends_what_is_queued(loop, run):
    async def main():
        async with full_pair() as (transport, protocol, peer, sent):
            for number in range(10):
                sent.append(b"last %d" % number)
                transport.sendto(sent[-1])
            transport.close()
            assert transport.is_closing()
            # Behind what is queued there is still room.
            transport.sendto(b"after close")
            sent.append(b"after close")
            assert await read_all(peer, len(sent)) == sent
            await gone(protocol)
            assert protocol.lost is None

    run(main())


def test_abort_throws_away_what_is_queued(loop, run):
    async def main():
        async with full_pair() as (transport, protocol, peer, sent):
            sent.pop()
            transport.abort()
            await gone(protocol)
            assert await read_all(peer, len(sent)) == sent
            with pytest.raises(BlockingIOError):
                peer.recv(100)

    run(main())


def test_a_peer_that_goes_away_is_told_for_what_is_queued(loop, run):
    async def main():
        async with full_pair() as (transport, protocol, peer, _):
            transport.sendto(b"one more")
            peer.close()
            await until(lambda: protocol.errors)
            assert {error.errno for error in protocol.errors} <= {errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN}
            assert not transport.is_closing()

    run(main())


def test_a_callback_that_fails_when_paused_is_reported_and_no_more(loop, run):
    class Broken(DatagramRecorder):
        def pause_writing(self):
            super().pause_writing()
            raise ZeroDivisionError

    async def main():
        with reports(loop) as seen:
            async with full_pair(Broken) as (transport, protocol, peer, sent):
                transport.set_write_buffer_limits(high=0)
                transport.sendto(b"x")
                sent.append(b"x")
                assert protocol.events == ["made", "pause"]
                assert await read_all(peer, len(sent)) == sent
        assert [context["message"] for context in seen] == ["protocol.pause_writing() failed"]

    run(main())


# Callbacks that call back.


def test_sendto_in_error_received(loop, run):
    class Insists(DatagramRecorder):
        def error_received(self, exc):
            super().error_received(exc)
            if len(self.errors) == 1:
                self.transport.sendto(bytes(70_000), ("127.0.0.1", 9))
                self.transport.sendto(b"smaller", self.transport.get_extra_info("sockname"))

    async def main():
        async with endpoint(Insists) as (transport, protocol):
            transport.sendto(bytes(70_000), ("127.0.0.1", 9))
            assert [error.errno for error in protocol.errors] == [errno.EMSGSIZE] * 2
            await until(lambda: protocol.data == [b"smaller"])

    run(main())


def test_sendto_in_resume_writing(loop, run):
    class Goes(DatagramRecorder):
        def resume_writing(self):
            super().resume_writing()
            self.transport.sendto(b"from resume_writing")

    async def main():
        async with full_pair(Goes) as (transport, protocol, peer, sent):
            transport.set_write_buffer_limits(high=0)
            transport.sendto(b"x")
            sent.append(b"x")
            assert await read_all(peer, len(sent)) == sent
            # asyncio 3.13 forgets to subtract the headers again, and so resumes late or never.
            if transport.get_write_buffer_size() == 0:
                assert await read_all(peer, 1) == [b"from resume_writing"]
                assert protocol.events == ["made", "pause", "resume"]

    run(main())


def test_what_datagram_received_raises_is_reported_and_the_rest_delivered(loop, run):
    class Fails(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            if data == b"3":
                raise ZeroDivisionError

    async def main():
        with reports(loop) as seen:
            async with endpoint(Fails) as (transport, protocol):
                for number in range(6):
                    transport.sendto(b"%d" % number, transport.get_extra_info("sockname"))
                await until(lambda: len(protocol.data) == 6)
                assert not transport.is_closing()
        assert [type(context["exception"]) for context in seen] == [ZeroDivisionError]
        assert "_read_ready()" in seen[0]["message"]

    run(main())


def test_what_error_received_raises_comes_out_of_sendto(loop, run):
    class Fails(DatagramRecorder):
        def error_received(self, exc):
            raise ZeroDivisionError

    async def main():
        async with endpoint(Fails) as (transport, _):
            with pytest.raises(ZeroDivisionError):
                transport.sendto(bytes(70_000), ("127.0.0.1", 9))
            assert not transport.is_closing()

    run(main())


@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit])
def test_what_leaves_the_loop_loses_no_datagram(loop, leaving):
    class Leaves(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            if data == b"2":
                raise leaving

    async def make():
        return await loop.create_datagram_endpoint(Leaves, local_addr=("127.0.0.1", 0))

    transport, protocol = loop.run_until_complete(make())
    for number in range(6):
        transport.sendto(b"%d" % number, transport.get_extra_info("sockname"))
    with pytest.raises(leaving):
        loop.run_forever()
    assert protocol.data == [b"0", b"1", b"2"]

    async def rest():
        await until(lambda: len(protocol.data) == 6)
        transport.close()
        await gone(protocol)

    loop.run_until_complete(rest())
    assert protocol.data == [b"%d" % number for number in range(6)]


def test_set_protocol_in_the_middle_of_a_burst(loop, run):
    class Hands(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            if data == b"2":
                self.transport.set_protocol(other)

    other = DatagramRecorder()

    async def main():
        async with endpoint(Hands) as (transport, protocol):
            for number in range(6):
                transport.sendto(b"%d" % number, transport.get_extra_info("sockname"))
            await until(lambda: len(other.data) == 3)
            assert (protocol.data, other.data) == ([b"0", b"1", b"2"], [b"3", b"4", b"5"])
            assert transport.get_protocol() is other
            transport.set_protocol(protocol)

    run(main())


# Reading can be paused, though the documentation names it for streams alone (zuvloop #26).


def test_reading_can_be_paused_and_nothing_is_lost(loop, run):
    async def main():
        async with endpoint() as (transport, protocol):
            assert transport.is_reading()
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            for number in range(6):
                transport.sendto(b"%d" % number, transport.get_extra_info("sockname"))
            for _ in range(5):
                await asyncio.sleep(0)
            assert protocol.data == []
            transport.resume_reading()
            transport.resume_reading()
            await until(lambda: len(protocol.data) == 6)

    run(main())


def test_a_pause_in_the_middle_of_a_burst_holds_the_rest_back(loop, run):
    class Careful(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.pause_reading()

    async def main():
        async with endpoint(Careful) as (transport, protocol):
            for number in range(40):
                transport.sendto(b"%d" % number, transport.get_extra_info("sockname"))
            for seen in range(1, 41):
                await until(lambda: len(protocol.data) >= seen)  # noqa: B023
                for _ in range(3):
                    await asyncio.sleep(0)
                assert len(protocol.data) == seen
                transport.resume_reading()
            assert protocol.data == [b"%d" % number for number in range(40)]

    run(main())


def test_what_was_held_back_is_dropped_by_close(loop, run):
    class Careful(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.pause_reading()

    async def main():
        async with endpoint(Careful) as (transport, protocol):
            for number in range(6):
                transport.sendto(b"%d" % number, transport.get_extra_info("sockname"))
            await until(lambda: protocol.data)
            transport.close()
            transport.resume_reading()
            await gone(protocol)
            assert protocol.events == ["made", "data", "lost"]

    run(main())
