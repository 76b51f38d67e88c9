"""A chat room across the nodes of a cluster. Its twins are ../room/main.go and
../node/room.mjs: any of them may serve any node, and take over from another."""

import os
import sys
import time

from attach import Worker, close, join, payload, publish, send

ROOM = "room"


def handle(event):
    id, kind = event["id"], event["type"]
    if kind == "open":
        return [join(id, ROOM), send(id, f"welcome {id}")]
    if kind == "closed":
        return [publish(ROOM, f"* {id} left")]
    text = payload(event).decode(errors="replace")
    if text == "/quit":
        return [send(id, "bye"), close(id)]
    if text == "/who":
        worker.ask("count", lambda a: worker.do(send(id, f"{a['body']['count']} here")), name=ROOM)
        return []
    return [publish(ROOM, f"{id}: {text}")]


# Attaches to the address that is given, again and again: a node may come back.
while True:
    try:
        worker = Worker(sys.argv[1], sys.argv[2], os.environ.get("ATTACH_TOKEN", ""))
        worker.run(handle)
    except OSError as error:
        print("room:", error, file=sys.stderr)
    time.sleep(0.2)
