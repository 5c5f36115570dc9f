"""A server that ends cleanly: at SIGTERM or Ctrl+C it takes no new upload, finishes those in flight, and exits with 0.

    python examples/clean_shutdown.py [--port 9000] [--grace 10]

An upload is a connection that sends bytes and half-closes; the answer is their SHA-256. A second signal, or the end of
the grace period, cancels what is still in flight; the exit status is then 1.
"""

import argparse
import asyncio
import hashlib
import signal
import sys


class Uploads:
    def __init__(self) -> None:
        self.in_flight: set[asyncio.Task[None]] = set()
        self.finished = 0

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self.in_flight.add(task)
        print("upload started,", len(self.in_flight), "in flight", flush=True)
        try:
            digest = hashlib.sha256()
            while data := await reader.read(65536):
                digest.update(data)
            writer.write(digest.hexdigest().encode() + b"\n")
            await writer.drain()
            self.finished += 1
        except asyncio.CancelledError:
            writer.transport.abort()  # and end quietly: main() counts what was left
        finally:
            writer.close()
            self.in_flight.discard(task)


async def main(port: int, grace_s: float) -> int:
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    uploads = Uploads()
    server = await asyncio.start_server(uploads.receive, "127.0.0.1", port)
    print("listening on port", server.sockets[0].getsockname()[1], flush=True)

    received = await signals.get()
    server.close()
    print(f"{received.name}: {len(uploads.in_flight)} uploads to finish", flush=True)
    again = asyncio.create_task(signals.get())
    rest = asyncio.gather(*uploads.in_flight, return_exceptions=True)
    await asyncio.wait({rest, again}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    left = list(uploads.in_flight)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    print(f"bye: {uploads.finished} finished, {len(left)} cut off")
    return 1 if left else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=9000, help="0 lets the system choose")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds for the uploads in flight")
    arguments = parser.parse_args()
    sys.exit(asyncio.run(main(arguments.port, arguments.grace)))
