"""A WebSocket server whose behaviour is chosen by the path: /echo, /close (4001), /refuse (403), /headers, /fragments."""

import asyncio
import http
import sys

import websockets


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def refuse(connection, request):
    if request.path == "/refuse":
        return connection.respond(http.HTTPStatus.FORBIDDEN, "not you\n")


def choose(connection, offered):
    return "chat.v2" if "chat.v2" in offered else None


async def handle(connection):
    path = connection.request.path
    if path == "/close":
        await connection.close(4001, "go away")
    elif path == "/headers":
        await connection.send(connection.request.headers.get("Cookie", "none"))
        await connection.send(connection.subprotocol or "none")
    elif path == "/fragments":
        await connection.send(["a", "b", "", "c"])
        await connection.send([bytes(70000), b"end"])
        await (await connection.ping())
        await connection.send("answered")
    try:
        async for message in connection:
            await connection.send(message)
    except websockets.ConnectionClosed:
        pass
    say("closed:", connection.close_code, connection.close_reason)


async def main():
    serving = websockets.serve(
        handle, "127.0.0.1", 0, process_request=refuse, select_subprotocol=choose, max_size=None
    )
    async with serving as server:
        say("listening:", server.sockets[0].getsockname()[1])
        await server.serve_forever()


asyncio.run(main())
