"""What the programs among the workloads have in common: when they import their libraries, and how uvicorn serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tideloop._bench.services.programs import HOST

__all__ = ["CONNECTIONS", "HTTP_REQUEST", "IDLE_SECONDS_MAX", "before_libraries", "serve_asgi"]

#: How many connections a load keeps to a server that is an application: the kernel's backlog is nobody's topic here.
CONNECTIONS = 32
#: What a load asks of an HTTP server.
HTTP_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#: For how long a server keeps a connection: those of peers that are not in turn are idle, and have to stay.
IDLE_SECONDS_MAX = 3600

Application = Callable[[dict[str, Any], Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[None]]


def before_libraries(asyncio: Any) -> None:
    """Do what the peer's program does before it imports its libraries.

    Where the program has taken its names from Tideloop, the libraries shall find them, too: `install(names=True)`.
    """
    install = getattr(asyncio, "install", None)
    if install is not None:
        install(names=True)


async def serve_asgi(asyncio: Any, application: Application) -> tuple[str, int]:
    """Serve the application with uvicorn and httptools on the running loop; where it listens."""
    before_libraries(asyncio)
    import uvicorn

    config = uvicorn.Config(
        application,
        host=HOST,
        port=0,
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=IDLE_SECONDS_MAX,
    )
    # What `Server.serve` does, without its handlers of signals: the laboratory has its own way to end a worker.
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    ticking = asyncio.get_running_loop().create_task(server.main_loop())
    ticking.add_done_callback(lambda task: task.result())
    host, port = server.servers[0].sockets[0].getsockname()
    return host, port
