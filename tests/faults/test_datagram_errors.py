"""Errors of the kernel about datagrams: each is told to its protocol, and the endpoint goes on."""

import errno

import pytest
from injection import failing

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

HEAD = """
from datagrams import DatagramRecorder, endpoint, name_of, nobody
"""


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.ENETUNREACH, errno.EPERM, errno.ENOMEM])
@pytest.mark.parametrize("connected", [False, True])
def test_a_send_that_fails_is_told_and_no_end(loop_kind, number, connected):
    """uvloop #601."""
    failing(
        loop_kind,
        HEAD
        + f"""
async def main():
    address = await nobody()
    options = {{"remote_addr": address}} if {connected} else {{"local_addr": ("127.0.0.1", 0)}}
    async with endpoint(**options) as (transport, protocol):
        inject_all(SENDING, transport.get_extra_info("socket").fileno(), {number})
        for _ in range(3):
            transport.sendto(b"x", address)
        print([error.errno for error in protocol.errors], transport.is_closing(), transport.get_write_buffer_size())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            if {connected}:
                peer.bind(address)
            peer.sendto(b"still here?", name_of(transport))
            await until(lambda: protocol.data == [b"still here?"])
    print(told())
main_on(new_loop(), main)
""",
        f"{[number] * 3} False 0\n[]\n",
    )


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.ENOBUFS, errno.EHOSTUNREACH])
def test_a_receive_that_fails_is_told_and_no_end(loop_kind, number):
    failing(
        loop_kind,
        HEAD
        + f"""
async def main():
    async with endpoint() as (transport, protocol), endpoint() as (other, hears):
        inject_all(RECEIVING, transport.get_extra_info("socket").fileno(), {number})
        other.sendto(b"x", name_of(transport))
        await until(lambda: protocol.errors)
        print({{error.errno for error in protocol.errors}}, transport.is_closing())
        transport.sendto(b"still here", name_of(other))
        await until(lambda: hears.data == [b"still here"])
    print(told())
main_on(new_loop(), main)
""",
        f"{{{number}}} False\n[]\n",
    )


def test_a_kernel_that_never_takes_anything_fills_the_queue_up_to_the_marks(loop_kind):
    failing(
        loop_kind,
        HEAD
        + """
async def main():
    async with endpoint() as (transport, protocol):
        inject_all(SENDING, transport.get_extra_info("socket").fileno(), errno.EAGAIN)
        count = 0
        while "pause" not in protocol.events:
            transport.sendto(bytes(1000), ("127.0.0.1", 9))
            count += 1
        print(60 < count < 70, transport.get_write_buffer_size() > 64 * 1024, protocol.errors)
        transport.close()
        await asyncio.sleep(0.05)
        print("lost" in protocol.events, transport.is_closing())
        transport.abort()
        await gone(protocol)
    print(told())
main_on(new_loop(), main)
""",
        "True True []\nFalse True\n[]\n",
    )
