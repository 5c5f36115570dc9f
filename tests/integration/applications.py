"""An ASGI application for servers that import theirs: it says which loop runs it."""

import asyncio
import json


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    kind = type(asyncio.get_running_loop())
    body = json.dumps({"loop": f"{kind.__module__}.{kind.__qualname__}"}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
