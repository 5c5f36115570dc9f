"""Bugs that users of other loops met, each with its number: none of them may be ours.

The names of the projects are those of the issue trackers: uvloop, rloop, zuvloop, cpython.
"""

import asyncio
import errno
import gc
import os
import socket
import threading
import time

import pytest

from support import BufferedRecorder, Recorder, connected, gone, receive_all, reports, reset, turn, until

BOTH = pytest.mark.loop_kinds("asyncio", "tideloop")


@BOTH
def test_connect_that_is_cancelled_closes_its_descriptor_once(loop):
    """uvloop #645, aiohttp #10362: it was closed twice, and the second close hit somebody else's connection."""

    async def main():
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            for turns in range(10):
                task = loop.create_task(loop.create_connection(Recorder, *listener.getsockname()))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                # Whoever opens a descriptor now gets the number that was just freed.
                others = [socket.socketpair() for _ in range(3)]
                try:
                    transport, protocol = await task
                    transport.abort()
                    await gone(protocol)
                except asyncio.CancelledError:
                    pass
                gc.collect()
                await asyncio.sleep(0)
                for left, right in others:
                    left.send(b"x")
                    assert right.recv(1) == b"x"
                    left.close()
                    right.close()

    loop.run_until_complete(main())


@BOTH
def test_write_after_close_is_dropped_and_no_error(loop):
    """uvloop #506: RuntimeError, the largest source of noise in logs."""

    async def main():
        transport, protocol, peer = await connected()
        peer.close()
        await gone(protocol)
        transport.write(b"dropped")
        transport.writelines([])
        transport.close()

    loop.run_until_complete(main())


@pytest.mark.loop_kinds("tideloop")
def test_writelines_after_the_loss_is_dropped_too(loop):
    """cpython, 3.12.1 and 3.13.0: a TypeError ('NoneType' object is not callable)."""

    async def main():
        transport, protocol, peer = await connected()
        transport.close()
        transport.writelines([b"dropped", b"too"])
        await gone(protocol)
        transport.writelines([b"dropped", b"too"])
        assert transport.get_write_buffer_size() == 0
        assert receive_all(peer) == b""
        peer.close()

    loop.run_until_complete(main())


@pytest.mark.loop_kinds("tideloop")
def test_writelines_of_empty_chunks_lets_the_transport_close(loop):
    """cpython #155888: an empty chunk was never drained, so the transport never closed."""

    async def main():
        transport, protocol, peer = await connected()
        transport.writelines([b"", b""])
        transport.writelines([b"x", b"", b"y"])
        assert transport.get_write_buffer_size() == 0
        transport.close()
        await gone(protocol)
        assert receive_all(peer) == b"xy"
        peer.close()

    loop.run_until_complete(main())


@pytest.mark.loop_kinds("tideloop")
def test_mutable_buffer_that_had_to_wait_may_be_changed_and_resized(loop):
    """zuvloop #61, cpython since 3.12: the buffer was sent as it was later, or could not be resized."""

    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        head = b"h" * 3_000_000
        transport.write(head)
        data = bytearray(b"before" * 1000)
        transport.write(data)
        transport.write(memoryview(data)[:6])
        transport.writelines([data, b"!"])
        data[:] = b"changed"
        data.extend(b"x" * 100_000)
        transport.close()
        assert (
            await asyncio.to_thread(receive_all, peer) == head + b"before" * 1000 + b"before" + b"before" * 1000 + b"!"
        )
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


@BOTH
@pytest.mark.parametrize("delay", [0.0005, 0.0013, 0.0105])
def test_sleep_is_never_shorter_than_asked(loop, delay):
    """uvloop #739, #755, #233: half a millisecond took 8 µs."""

    async def main():
        for _ in range(5):
            start = time.monotonic()
            await asyncio.sleep(delay)
            assert time.monotonic() - start >= delay - 2e-9

    loop.run_until_complete(main())


@BOTH
@pytest.mark.parametrize("delay", [0, -1])
def test_call_later_without_a_delay_gives_a_timer_handle(loop, delay):
    """uvloop #482, #704: a Handle without when()."""
    handle = loop.call_later(delay, print, "never")
    assert isinstance(handle, asyncio.TimerHandle)
    assert handle.when() <= loop.time()
    handle.cancel()
    turn(loop)


@BOTH
def test_clock_does_not_stand_still_between_turns(loop):
    """uvloop #359: time() in steps of 1 ms; rloop's starts at 0 and is not time.monotonic()."""

    async def main():
        times = set()
        for _ in range(100):
            times.add(loop.time())
            await asyncio.sleep(0)
        return times

    times = loop.run_until_complete(main())
    assert len(times) > 50
    assert abs(loop.time() - time.monotonic()) < 1


@BOTH
def test_serve_forever_ends_when_the_server_is_closed(loop):
    """uvloop #602: it went on for ever."""

    async def main():
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        server.close()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(serving, 5)

    loop.run_until_complete(main())


@BOTH
def test_connection_lost_is_called_for_every_way_to_end(loop):
    """uvloop #471, #552, #639: it was not, or half a minute late."""

    async def main():
        ways = {
            "close": lambda transport, peer: transport.close(),
            "abort": lambda transport, peer: transport.abort(),
            "peer closes": lambda transport, peer: peer.close(),
            "peer resets": lambda transport, peer: reset(peer),
            "close then peer closes": lambda transport, peer: (transport.close(), peer.close()),
            "write_eof then peer closes": lambda transport, peer: (transport.write_eof(), peer.close()),
            "write then close": lambda transport, peer: (transport.write(b"x"), transport.close()),
            "write then abort": lambda transport, peer: (transport.write(b"x"), transport.abort()),
            "pause then close": lambda transport, peer: (transport.pause_reading(), transport.close()),
            "pause then abort": lambda transport, peer: (transport.pause_reading(), transport.abort()),
            "peer resets then write": lambda transport, peer: (
                reset(peer),
                transport.write(b"x"),
                transport.write(b"y"),
            ),
        }
        for name, end in ways.items():
            transport, protocol, peer = await connected()
            end(transport, peer)
            await gone(protocol)
            await asyncio.sleep(0)
            assert protocol.events.count("lost") == 1, name
            peer.close()

    loop.run_until_complete(main())


@BOTH
def test_connection_lost_is_never_called_inside_write_or_close(loop):
    """rloop: it was, and protocols were re-entered."""

    class Protocol(Recorder):
        inside = False

        def connection_lost(self, exc):
            assert not self.inside
            super().connection_lost(exc)

    async def main():
        transport, protocol, peer = await connected(Protocol())
        reset(peer)
        protocol.inside = True
        transport.write(b"x")
        transport.write(b"y")
        transport.close()
        protocol.inside = False
        await gone(protocol)

    loop.run_until_complete(main())


@BOTH
def test_exception_handler_gets_the_loop_first(loop):
    """rloop, Leviathan: only the context."""
    seen = []
    loop.set_exception_handler(lambda *args: seen.append(args))
    loop.call_exception_handler({"message": "x"})
    assert seen == [(loop, {"message": "x"})]
    loop.set_exception_handler(None)


@BOTH
def test_nested_run_is_a_runtime_error_with_a_clear_text(loop):
    """rloop: UnboundLocalError."""

    async def main():
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()

    loop.run_until_complete(main())


@BOTH
def test_debug_mode_can_be_set_and_survives_work(loop):
    """uvloop #715, #716: a crash; rloop: get_debug() is always False."""
    loop.set_debug(True)
    loop.slow_callback_duration = 10

    async def main():
        transport, protocol, peer = await connected()
        transport.write(b"x")
        peer.sendall(b"y")
        await until(lambda: protocol.data)
        await asyncio.gather(*[asyncio.sleep(0) for _ in range(10)])
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())
    assert loop.get_debug()


@BOTH
def test_signal_handler_can_be_removed_again(loop):
    """rloop: AttributeError '_is_main_thread'; uvloop: False when the loop is stopped."""
    import signal

    loop.add_signal_handler(signal.SIGUSR1, print)
    turn(loop)
    assert loop.remove_signal_handler(signal.SIGUSR1) is True


@BOTH
def test_reading_callback_that_raises_is_fatal_for_its_connection_only(loop):
    """zuvloop #23."""

    class Protocol(BufferedRecorder):
        def buffer_updated(self, nbytes):
            raise LookupError("reading")

    async def main():
        _transport, bad, bad_peer = await connected(Protocol())
        good_transport, good, good_peer = await connected()
        bad_peer.sendall(b"x")
        await gone(bad)
        good_peer.sendall(b"x")
        await until(lambda: good.data == b"x")
        good_transport.close()
        await gone(good)
        bad_peer.close()
        good_peer.close()

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert len(seen) == 1
    seen.clear()
    gc.collect()


@BOTH
def test_protocol_that_closed_is_not_resumed(loop):
    """zuvloop #33: resume_writing after close, although the connection was gone for the protocol."""

    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        transport.write(b"x" * 3_000_000)
        assert protocol.events == ["made", "pause"]
        transport.abort()
        await gone(protocol)
        assert protocol.events == ["made", "pause", "lost"]
        peer.close()

    loop.run_until_complete(main())


@BOTH
def test_reason_of_the_loss_is_given(loop):
    """zuvloop: connection_lost(None) after a reset."""

    async def main():
        _transport, protocol, peer = await connected()
        reset(peer)
        await gone(protocol)
        assert protocol.lost.errno == errno.ECONNRESET

    loop.run_until_complete(main())


@BOTH
@pytest.mark.parametrize("port", [65536, -1, 2**31, 2**40])
def test_port_out_of_range_is_an_error_and_no_other_port(loop, port):
    """zuvloop #18: the port was cut to 16 bits."""

    async def main():
        with pytest.raises((OverflowError, OSError)):
            await loop.create_connection(Recorder, "127.0.0.1", port)
        with pytest.raises((OverflowError, OSError)):
            await loop.create_server(Recorder, "127.0.0.1", port)

    loop.run_until_complete(main())


@BOTH
def test_errors_of_names_carry_their_code(loop):
    """zuvloop #14."""

    async def main():
        with pytest.raises(socket.gaierror) as caught:
            await loop.create_connection(Recorder, "256.256.256.256.invalid.", 1, flags=socket.AI_NUMERICHOST)
        assert caught.value.errno == socket.EAI_NONAME

    loop.run_until_complete(main())


@BOTH
def test_descriptor_of_a_given_socket_stays_its_owners_until_the_transport_closes(loop):
    """zuvloop #74, #75: an idle connection died because its descriptor was closed elsewhere."""

    async def main():
        transport, protocol, peer = await connected()
        sock = transport.get_extra_info("socket")
        duplicate = os.dup(sock.fileno())
        gc.collect()
        await asyncio.sleep(0.005)
        peer.sendall(b"alive")
        await until(lambda: protocol.data == b"alive")
        transport.close()
        await gone(protocol)
        await asyncio.sleep(0)
        os.close(duplicate)
        peer.close()

    loop.run_until_complete(main())


@BOTH
def test_size_of_a_long_write_queue_costs_no_walk(loop):
    """cpython #146507: get_write_buffer_size walked the queue; 90 % of the CPU on slow clients."""

    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        transport.pause_reading()
        transport.write(b"x" * 3_000_000)
        size = transport.get_write_buffer_size()
        for _ in range(2000):
            transport.write(b"y" * 10)
        assert transport.get_write_buffer_size() == size + 20_000
        transport.abort()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


@BOTH
def test_resolver_is_not_starved_by_a_full_executor(loop):
    """cpython #112169, #120644: names waited for threads that were busy. Literals at least never wait."""

    async def main():
        release = threading.Event()
        busy = [loop.run_in_executor(None, release.wait, 10) for _ in range(64)]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport, protocol = await asyncio.wait_for(loop.create_connection(Recorder, *listener.getsockname()), 5)
            transport.abort()
            await gone(protocol)
        release.set()
        await asyncio.gather(*busy)

    loop.run_until_complete(main())


@pytest.mark.loop_kinds("tideloop")
def test_names_are_resolved_although_the_executor_is_full(loop):
    """cpython #112169: the resolver has threads of its own."""

    async def main():
        release = threading.Event()
        busy = [loop.run_in_executor(None, release.wait, 10) for _ in range(64)]
        assert await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 5)
        release.set()
        await asyncio.gather(*busy)

    loop.run_until_complete(main())


@BOTH
def test_keyboard_interrupt_is_not_lost_in_a_protocol(loop):
    """uvloop #295, #335, #94."""

    class Protocol(Recorder):
        def data_received(self, data):
            raise KeyboardInterrupt

    async def start():
        return await connected(Protocol())

    transport, protocol, peer = loop.run_until_complete(start())
    peer.sendall(b"x")
    timer = loop.call_later(10, loop.stop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    timer.cancel()
    transport.abort()
    loop.run_until_complete(gone(protocol))
    peer.close()


@pytest.mark.loop_kinds("tideloop")
@pytest.mark.parametrize("method", ["call_later", "call_at"])
def test_delay_that_is_not_a_number_does_not_disturb_the_other_timers(loop, method):
    """asyncio's heap loses its order, and timers behind it never run."""
    ran = []
    try:
        handle = getattr(loop, method)(float("nan"), lambda: None)
    except ValueError:
        handle = None
    for number in range(5):
        loop.call_later(0.001 * number, ran.append, number)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    if handle is not None:
        handle.cancel()
    assert ran == [0, 1, 2, 3, 4]
