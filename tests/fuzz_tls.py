"""Mutated TLS against Tideloop's transports: python tests/fuzz_tls.py --cases 100000 [--seed N]

A connection of ours, client or server, over a socket or over a transport of somebody else's, shakes hands with a peer
that lives in the same process. Somewhere on the way (in the first flight, a later one, or among the records of an open
connection) what the peer has sent is mutated: bytes flipped, cut, doubled, inserted, records exchanged; and all of it
arrives in parts that are cut at random. What must hold whatever comes:

- the protocol is told in order: made, data, eof, lost, each where asyncio's contract has it, and lost exactly once;
- what it is given is the beginning of what the peer has sent, byte by byte, and all of it if nothing was mutated;
- whoever waits for the handshake is answered; nothing is reported to the exception handler; nothing is left behind.

A case is one connection. The seed of each case is printed when it fails, and replays it: --seed N --cases 1.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tls_support import client_context, server_context

import tideloop
from tideloop import _native

# A socket is looked at in every 64th turn at the latest, however busy the loop is.
TURNS_MAX = 400
HEADER_BYTES = 5
STAGES = ("first flight", "later flight", "records", "nothing")
WEIGHTS = (55, 15, 22, 8)


class App(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.data = bytearray()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.told.append("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.told.append("data")
        self.data += data

    def eof_received(self) -> None:
        self.told.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        assert exc is None or isinstance(exc, OSError), exc
        self.told.append("lost")


class Buffered(App, asyncio.BufferedProtocol):
    """The same with a small buffer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = bytearray(700)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self.buffer[:nbytes])


class Foreign(asyncio.Transport):
    """A transport that is none of ours: what it is given is kept for the peer."""

    def __init__(self, loop: Any, protocol: Any) -> None:
        super().__init__()
        self.loop, self.protocol = loop, protocol
        self.sent = bytearray()
        self.closing = False

    def write(self, data: Any) -> None:
        self.sent += data

    def _force_close(self, exc: BaseException | None) -> None:
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self.protocol.connection_lost, exc)

    def close(self) -> None:
        self._force_close(None)

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


def mutated(data: bytes, rng: random.Random) -> bytes:
    """`data` changed in one to three places."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if not out:
            return bytes(out)
        start = rng.randrange(len(out))
        end = min(len(out), start + rng.choice((1, 2, 5, 40, 400)))
        match rng.randrange(8):
            case 0:
                out[start] ^= 1 << rng.randrange(8)
            case 1:
                out[start] = rng.randrange(256)
            case 2:
                del out[start:]
            case 3:
                del out[start:end]
            case 4:
                out[start:start] = out[start:end]
            case 5:
                out[start:start] = rng.randbytes(rng.choice((1, 5, 50, 20_000)))
            case 6:
                records = split_records(bytes(out))
                rng.shuffle(records)
                out = bytearray(b"".join(records))
            case _:
                # The first bytes of a record: its kind, version or length.
                out[rng.randrange(min(HEADER_BYTES, len(out)))] = rng.randrange(256)
    return bytes(out)


def split_records(data: bytes) -> list[bytes]:
    records = []
    while data:
        length = HEADER_BYTES + int.from_bytes(data[3:5], "big")
        records.append(data[:length])
        data = data[length:]
    return records


def parts(data: bytes, rng: random.Random) -> list[bytes]:
    """`data` in pieces, as a network might bring it."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3, 10)))) if data else []
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


class Fuzzer:
    """Contexts that all cases share, and the loop that they run on."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.servers = [server_context(), server_context(maximum_version=ssl.TLSVersion.TLSv1_2)]
        self.client = client_context()
        self.reported: list[Any] = []
        loop.set_exception_handler(lambda _loop, context: self.reported.append(context))

    async def case(self, seed: int) -> None:
        rng = random.Random(seed)
        connection = Connection(self, rng)
        try:
            await connection.run()
        finally:
            connection.close_peer()
        assert not self.reported, self.reported


class Connection:
    """One case."""

    def __init__(self, fuzzer: Fuzzer, rng: random.Random) -> None:
        self.loop, self.rng = fuzzer.loop, rng
        self.stage = rng.choices(STAGES, WEIGHTS)[0]
        server_side = self.server_side = rng.random() < 0.5
        server = rng.choice(fuzzer.servers)
        ours, theirs = (server, fuzzer.client) if server_side else (fuzzer.client, server)
        self.app = Buffered() if rng.random() < 0.3 else App()
        self.waiter = self.loop.create_future()
        self.tls = _native.TlsProtocol(
            self.loop, self.app, ours, self.waiter, server_side, "localhost", True, 60.0, 30.0
        )
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = "localhost" if server_side else None
        self.peer = theirs.wrap_bio(self.incoming, self.outgoing, server_side=not server_side, server_hostname=name)
        self.sock: socket.socket | None = None
        self.foreign: Foreign | None = None
        if rng.random() < 0.5:
            sock, self.sock = socket.socketpair()
            sock.setblocking(False)
            self.sock.setblocking(False)
            self.lower: Any = _native.SocketTransport(self.loop, sock, self.tls)
        else:
            self.lower = self.foreign = Foreign(self.loop, self.tls)
            self.loop.call_soon(self.tls.connection_made, self.foreign)

    async def run(self) -> None:
        self.sent = bytearray()
        broken = await self.shake_hands()
        if not broken and self.stage in ("records", "nothing"):
            broken = await self.exchange()
        if self.foreign is not None and not self.foreign.closing:
            self.tls.eof_received()
            self.foreign.close()
        if self.sock is not None:
            self.close_peer()
        # A connection that still waits is ended; no timer may be needed for that.
        await self.settle(lambda: self.lower.is_closing())
        if not self.lower.is_closing():
            self.tls._app_transport.abort()
        await self.settle(lambda: self.waiter.done() and ("made" not in self.app.told or self.app.told[-1] == "lost"))
        self.check(broken)

    def check(self, broken: bool) -> None:
        assert self.waiter.done()
        failed = self.waiter.exception()
        assert failed is None or isinstance(failed, OSError), failed
        told = [event for i, event in enumerate(self.app.told) if event != "data" or self.app.told[i - 1] != "data"]
        allowed = (["made", "lost"], ["made", "data", "lost"], ["made", "eof", "lost"], ["made", "data", "eof", "lost"])
        assert told in allowed or (told == [] and failed is not None), (told, failed)
        assert self.sent.startswith(self.app.data), "bytes that were never sent"
        if not broken and self.stage == "nothing":
            assert self.app.data == self.sent, (len(self.app.data), len(self.sent))

    async def shake_hands(self) -> bool:
        """Pump both sides until they are done; whether what the peer said was mutated."""
        for flight in range(20):
            if flight > 0 or not self.server_side:
                await self.fetch()
            try:
                self.peer.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError:
                return True
            data = self.outgoing.read()
            wanted = {"first flight": 0, "later flight": 1}.get(self.stage)
            if data and flight >= (wanted if wanted is not None else 99):
                await self.deliver(mutated(data, self.rng))
                return True
            await self.deliver(data)
            if done and self.waiter.done():
                return False
        return True

    async def exchange(self) -> bool:
        """Records of an open connection; whether they were mutated."""
        count = self.rng.choice((1, 2, 5))
        for _ in range(count):
            message = self.rng.randbytes(self.rng.choice((1, 100, 3000, 20_000)))
            self.sent += message
            self.peer.write(message)
        if self.rng.random() < 0.5:
            try:
                self.peer.unwrap()
            except ssl.SSLWantReadError:
                pass
        data = self.outgoing.read()
        if self.stage == "nothing":
            await self.deliver(data)
            await self.settle(lambda: len(self.app.data) == len(self.sent))
            return False
        await self.deliver(mutated(data, self.rng))
        return True

    async def deliver(self, data: bytes) -> None:
        for part in parts(data, self.rng):
            if not part:
                continue
            if self.foreign is not None:
                if not self.foreign.closing:
                    self.tls.data_received(part)
            elif self.sock is not None:
                try:
                    self.sock.sendall(part)
                except OSError:
                    return
                await asyncio.sleep(0)

    def has_sent(self) -> bool:
        """Whether our side has something for the peer, or has ended."""
        if self.foreign is not None:
            return bool(self.foreign.sent) or self.foreign.closing
        try:
            assert self.sock is not None
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return self.lower.is_closing()
        except OSError:
            pass
        return True

    async def fetch(self) -> None:
        await self.settle(lambda: self.has_sent() or self.waiter.done())
        if self.foreign is not None:
            self.incoming.write(bytes(self.foreign.sent))
            self.foreign.sent.clear()
            return
        assert self.sock is not None
        try:
            self.incoming.write(self.sock.recv(1 << 18))
        except OSError:
            pass

    async def settle(self, condition: Any) -> None:
        for _ in range(TURNS_MAX):
            if condition():
                return
            await asyncio.sleep(0)

    def close_peer(self) -> None:
        if self.sock is not None:
            self.sock.close()


def fuzz(cases: int, first_seed: int, seconds_max: float | None = None) -> int:
    """Run so many cases, fewer where time runs out; how many it were. Raises at the first that fails."""
    loop = tideloop.new_event_loop()
    done = 0

    async def main() -> None:
        nonlocal done
        fuzzer = Fuzzer(loop)
        warm_up = min(cases // 10, 500)
        deadline = None if seconds_max is None else time.monotonic() + seconds_max
        before = None
        for seed in range(first_seed, first_seed + cases):
            try:
                await asyncio.wait_for(fuzzer.case(seed), 30)
            except BaseException:
                print(f"failed: --seed {seed} --cases 1", file=sys.stderr)
                raise
            done += 1
            if done == warm_up:
                before = census()
            if deadline is not None and time.monotonic() > deadline:
                break
        if before is not None:
            await asyncio.sleep(0)
            after = census()
            grown = {name: (before[name], after[name]) for name in after if after[name] > before[name] + 50}
            assert not grown, f"left behind by {done - warm_up} cases: {grown}"

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return done


def census() -> dict[str, int]:
    """What must not grow."""
    gc.collect()
    kinds = (_native.TlsProtocol, _native.TlsTransport, _native.SocketTransport, ssl.SSLObject, App, asyncio.Handle)
    counts = dict.fromkeys((kind.__name__ for kind in kinds), 0)
    for found in gc.get_objects():
        for kind in kinds:
            if type(found) is kind:
                counts[kind.__name__] += 1
    counts["descriptors"] = len(os.listdir("/proc/self/fd"))
    counts["objects"] = len(gc.get_objects()) // 10
    counts["MiB"] = resident_kib() // 1024
    return counts


def resident_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def in_parallel(cases: int, first_seed: int, jobs: int) -> None:
    """A process per job, each with a share of the cases."""
    share = -(-cases // jobs)
    command = [sys.executable, __file__, "--jobs", "1", "--cases", str(share), "--seed"]
    running = [subprocess.Popen([*command, str(first_seed + job * share)]) for job in range(jobs)]
    statuses = [process.wait() for process in running]
    if any(statuses):
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    options = parser.parse_args()
    if options.jobs > 1:
        in_parallel(options.cases, options.seed, options.jobs)
        return
    start = time.monotonic()
    done = fuzz(options.cases, options.seed)
    print(f"{done} cases in {time.monotonic() - start:.0f} s: nothing lost, nothing made up, nothing left behind")


if __name__ == "__main__":
    main()
