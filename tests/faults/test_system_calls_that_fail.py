"""Errors of the kernel that come out of the blue: each reaches whom it concerns, and nobody else.

The calls are made to fail in a process of their own, for one descriptor (`injection.py`).
"""

import errno

import pytest
from injection import failing

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

OTHERS = """
async def others_go_on(transport, protocol, peer):
    loop = asyncio.get_running_loop()
    size = len(protocol.data)
    transport.write(b"out")
    assert await loop.run_in_executor(None, peer.recv, 100) == b"out"
    peer.sendall(b"in")
    await until(lambda: len(protocol.data) == size + 2)
"""


@pytest.mark.parametrize("number", [errno.ENFILE, errno.ENOBUFS])
def test_accept_that_fails_for_want_of_resources_is_reported_and_waits(loop_kind, number):
    """zuvloop #78, #88, #89."""
    failing(
        loop_kind,
        OTHERS
        + f"""
async def main():
    loop = asyncio.get_running_loop()
    other = await connected()
    made = []
    server = await loop.create_server(lambda: made.append(1), "127.0.0.1", 0, backlog=3)
    client = socket.create_connection(server.sockets[0].getsockname())
    inject(("accept4", server.sockets[0].fileno(), {number}))
    before = time.process_time()
    await asyncio.sleep(0.3)
    print("spins", time.process_time() - before > 0.2)
    await others_go_on(*other)
    print(set(told()), made)
    server.close()
    client.close()
    other[0].abort()
    other[2].close()
main_on(new_loop(), main)
""",
        f"spins False\n{{('socket.accept() out of system resource', {number})}} []\n",
    )


@pytest.mark.parametrize("number", [errno.EPERM])
@pytest.mark.loop_kinds("tideloop")
def test_accept_that_fails_for_another_reason_is_reported_and_waits_too(loop_kind, number):
    """asyncio reports it in every turn, at full speed."""
    failing(
        loop_kind,
        f"""
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    inject(("accept4", server.sockets[0].fileno(), {number}))
    await until(lambda: seen)
    await asyncio.sleep(0.05)
    print(told())
    server.close()
    client.close()
main_on(new_loop(), main)
""",
        f"[('socket.accept() failed', {number})]\n",
    )


def test_connection_that_was_aborted_before_it_was_accepted_is_no_error(loop_kind):
    failing(
        loop_kind,
        OTHERS
        + """
async def main():
    loop = asyncio.get_running_loop()
    other = await connected()
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    inject(("accept4", server.sockets[0].fileno(), errno.ECONNABORTED))
    await asyncio.sleep(0.02)
    await others_go_on(*other)
    print(told())
    server.close()
    client.close()
    other[0].abort()
    other[2].close()
main_on(new_loop(), main)
""",
        "[]\n",
    )


# Whatever the error, the protocol is told and nobody else: for asyncio every OSError is a usual end of a connection.
ERRORS = [errno.ECONNRESET, errno.EPIPE, errno.ENOBUFS, errno.ENOMEM, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EIO]


def test_send_that_fails_ends_its_connection_alone(loop_kind):
    failing(
        loop_kind,
        OTHERS
        + f"""
async def main():
    other = await connected()
    for number in {ERRORS}:
        transport, protocol, peer = await connected()
        inject_all(SENDING, transport.get_extra_info("socket").fileno(), number)
        transport.write(b"x")
        transport.write(b"y")
        await gone(protocol)
        await others_go_on(*other)
        print(protocol.lost.errno, *protocol.events)
        peer.close()
        kept.append(os.dup(0))
    print(told())
    other[0].abort()
    other[2].close()
kept = []
main_on(new_loop(), main)
""",
        "".join(f"{number} made lost\n" for number in ERRORS) + "[]\n",
    )


@pytest.mark.parametrize("protocol", ["Recorder", "BufferedRecorder"])
def test_receive_that_fails_ends_its_connection_alone(loop_kind, protocol):
    failing(
        loop_kind,
        OTHERS
        + f"""
async def main():
    other = await connected()
    for number in {ERRORS}:
        transport, protocol, peer = await connected({protocol}())
        inject_all(RECEIVING, transport.get_extra_info("socket").fileno(), number)
        peer.sendall(b"x")
        await gone(protocol)
        await others_go_on(*other)
        print(protocol.lost.errno, *protocol.events)
        peer.close()
        kept.append(os.dup(0))
    print(told())
    other[0].abort()
    other[2].close()
kept = []
main_on(new_loop(), main)
""",
        "".join(f"{number} made lost\n" for number in ERRORS) + "[]\n",
    )


@pytest.mark.loop_kinds("tideloop")  # the socket module itself tries again for ever, and so does asyncio
@pytest.mark.parametrize("calls", ["SENDING", "RECEIVING"])
def test_calls_interrupted_over_and_over_are_no_error(loop_kind, calls):
    failing(
        loop_kind,
        OTHERS
        + f"""
async def main():
    other = await connected()
    transport, protocol, peer = await connected()
    inject_all({calls}, transport.get_extra_info("socket").fileno(), errno.EINTR)
    signal.set_wakeup_fd(-1)
    transport.write(b"x")
    peer.sendall(b"y")
    await asyncio.sleep(0.02)
    print(protocol.lost, protocol.events[0])
    await others_go_on(*other)
    transport.abort()
    await gone(protocol)
    print(protocol.lost, told())
    other[0].abort()
    other[2].close()
    peer.close()
main_on(new_loop(), main)
""",
        "not lost made\nNone []\n",
    )


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.ENOBUFS])
def test_connect_that_fails_at_once_is_raised_and_leaves_nothing(loop_kind, number):
    failing(
        loop_kind,
        f"""
async def main():
    loop = asyncio.get_running_loop()
    before = descriptors()
    inject(("connect", None, {number}))
    for connect in (
        lambda: loop.create_connection(Recorder, "127.0.0.1", 1),
        lambda: asyncio.open_connection("127.0.0.1", 1),
        lambda: loop.create_connection(Recorder, "127.0.0.1", 1, happy_eyeballs_delay=0.1),
    ):
        try:
            await connect()
        except OSError as exc:
            print(exc.errno)
    print(descriptors() == before, told())
main_on(new_loop(), main)
""",
        f"{number}\n" * 3 + "True []\n",
    )


@pytest.mark.parametrize("call", ["epoll_create1", "eventfd2", "timerfd_create"])
@pytest.mark.loop_kinds("tideloop")
def test_loop_that_cannot_be_made_is_an_os_error_and_leaves_nothing(loop_kind, call):
    failing(
        loop_kind,
        f"""
before = descriptors()
inject(({call!r}, None, errno.EMFILE))
try:
    loop = new_loop()
    loop.run_until_complete(asyncio.sleep(0))
except OSError as exc:
    print(exc.errno == errno.EMFILE)
    with contextlib.suppress(NameError):
        loop.close()
gc.collect()
print(descriptors() == before)
""",
        "True\nTrue\n",
    )


@pytest.mark.loop_kinds("tideloop")
def test_connection_that_cannot_be_watched_fails_alone(loop_kind):
    failing(
        loop_kind,
        OTHERS
        + """
async def main():
    loop = asyncio.get_running_loop()
    other = await connected()
    before = descriptors()
    left, right = socket.socketpair()
    inject(("epoll_ctl", None, errno.ENOSPC))
    protocol = Recorder()
    with contextlib.suppress(OSError):
        transport, protocol = await asyncio.wait_for(loop.create_connection(lambda: protocol, sock=left), 10)
    with contextlib.suppress(BrokenPipeError):
        right.sendall(b"x")
    for _ in range(5):
        await asyncio.sleep(0)
    await others_go_on(*other)
    print(protocol.events[-1], told()[0][1] if seen else protocol.lost.errno)
    left.close()
    right.close()
    print(descriptors() == before)
    other[0].abort()
    other[2].close()
main_on(new_loop(), main)
""",
        f"lost {errno.ENOSPC}\nTrue\n",
    )


@pytest.mark.parametrize("number", [errno.ENOBUFS])
def test_datagram_that_the_kernel_does_not_take_is_for_error_received(loop_kind, number):
    """uvloop #601: the endpoint was closed."""
    failing(
        loop_kind,
        f"""
class Protocol(asyncio.DatagramProtocol):
    errors, lost = [], False
    def error_received(self, exc):
        self.errors.append(exc.errno)
    def connection_lost(self, exc):
        self.lost = True

async def main():
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Protocol, ("127.0.0.1", 0))
    inject_all(SENDING, transport.get_extra_info("socket").fileno(), {number})
    for _ in range(3):
        transport.sendto(b"x", ("127.0.0.1", 9))
    await until(lambda: len(protocol.errors) == 3)
    print(protocol.errors, protocol.lost, transport.is_closing(), transport.get_write_buffer_size(), told())
    transport.close()
    await until(lambda: protocol.lost)
main_on(new_loop(), main)
""",
        f"{[number] * 3} False False 0 []\n",
    )


@pytest.mark.parametrize("way", ["read", "write"])
def test_pipe_that_fails_ends_alone(loop_kind, way):
    failing(
        loop_kind,
        OTHERS
        + f"""
async def main():
    loop = asyncio.get_running_loop()
    other = await connected()
    await others_go_on(*other)
    reading, writing = os.pipe()
    ours, theirs = (reading, writing) if {way!r} == "read" else (writing, reading)
    file = os.fdopen(ours, "rb" if ours == reading else "wb", 0)
    transport, protocol = await getattr(loop, "connect_{way}_pipe")(Recorder, file)
    inject_all(SENDING + RECEIVING, ours, errno.EIO)
    os.write(theirs, b"x") if ours == reading else transport.write(b"x")
    await gone(protocol)
    await others_go_on(*other)
    print(protocol.lost.errno, *protocol.events)
    os.close(theirs)
    other[0].abort()
    other[2].close()
main_on(new_loop(), main)
""",
        f"{errno.EIO} made lost\n",
    )


@pytest.mark.loop_kinds("tideloop")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EMFILE])
def test_children_are_waited_for_where_there_is_no_pidfd(loop_kind, number):
    failing(
        loop_kind,
        f"""
async def main():
    inject(("pidfd_open", None, {number}))
    for options in ({{}}, {{"preexec_fn": int}}):
        child = await asyncio.create_subprocess_exec("/bin/sh", "-c", "read line; exit 3", stdin=-1, **options)
        await child.communicate(b"x\\n")
        print(child.returncode, told())
main_on(new_loop(), main)
""",
        "3 []\n3 []\n",
    )
