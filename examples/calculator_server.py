"""A calculator for many clients at once, on asyncio's streams: each client has a mode of its own.

    python examples/calculator_server.py [--host 127.0.0.1] [--port 7001]

A line `sum` (at first), `product` or `mean` chooses what the next lines of numbers become; `quit` ends. SIGINT or
SIGTERM ends the server with status 0.
"""

import argparse
import asyncio
import math
import signal
import statistics

MODES = {"sum": math.fsum, "product": math.prod, "mean": statistics.fmean}


def answer(line: str, mode: str) -> tuple[str, str]:
    """What a line is answered, and the mode after it."""
    if line in MODES:
        return f"mode {line}", line
    try:
        numbers = [float(word) for word in line.split()]
        return f"{MODES[mode](numbers):g}", mode
    except (ValueError, statistics.StatisticsError):
        return f"error: {line!r} is neither a mode nor numbers", mode


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    mode = "sum"
    try:
        while line := (await reader.readline()).decode(errors="replace").strip():
            if line == "quit":
                break
            text, mode = answer(line, mode)
            writer.write(f"{text}\n".encode())
            await writer.drain()
    except (ConnectionError, ValueError):
        pass  # the client has gone, or its line has no end
    finally:
        writer.close()


async def main(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clients: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        clients.add(task)
        task.add_done_callback(clients.discard)

    server = await asyncio.start_server(connected, host, port)
    print("listening on port", server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    print("closed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7001, help="0 lets the system choose")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.host, arguments.port))
