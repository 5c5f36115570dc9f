"""A small web site on loopback for the crawler: linked pages, some of which are broken, one of which never answers.

    python examples/crawl_site.py [--port 8000]

Page N links to pages 2N, 2N + 1 and to the one before, so page 1 leads to all of them. `served` counts the visits.
"""

import argparse
import asyncio
from collections import Counter

PAGES = 200
BROKEN = {37, 74, 111, 148}  # these answer 500
SLOW = 160  # this one accepts the request and stays silent


class Site:
    def __init__(self) -> None:
        self.served: Counter[int] = Counter()
        self.address = ""

    async def start(self, port: int = 0) -> asyncio.Server:
        server = await asyncio.start_server(self.answer, "127.0.0.1", port)
        self.address = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        return server

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close, as HTTP/1.0 does."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            page = int(path.removeprefix("/page/"))
            self.served[page] += 1
            if page == SLOW:
                await reader.read()  # until the visitor gives up
            elif page in BROKEN:
                writer.write(b"HTTP/1.0 500 Internal Server Error\r\n\r\n")
            elif 1 <= page <= PAGES:
                writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + self.body(page).encode())
            else:
                writer.write(b"HTTP/1.0 404 Not Found\r\n\r\n")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass  # a visitor who does not speak HTTP gets nothing
        finally:
            writer.close()

    @staticmethod
    def body(page: int) -> str:
        targets = (target for target in (page - 1, 2 * page, 2 * page + 1) if 1 <= target <= PAGES)
        links = "\n".join(f'<a href="/page/{target}">page {target}</a>' for target in targets)
        return f"<html><title>Page {page}</title>\n{links}\n</html>\n"


async def main(port: int) -> None:
    site = Site()
    server = await site.start(port)
    print("start at", site.address + "/page/1", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000, help="0 lets the system choose")
    asyncio.run(main(parser.parse_args().port))
