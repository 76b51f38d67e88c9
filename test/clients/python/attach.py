"""A worker of a Flamingo node in Python, of the standard library alone: copy it and
change it. docs/attach.md is the protocol; this speaks JSON in lines over TCP or a Unix socket."""

import base64
import json
import socket


def send(id, text):
    return {"do": "send", "id": id, "text": text}


def close(id, code=0, reason=""):
    return {"do": "close", "id": id, "code": code, "reason": reason}


def join(id, group):
    return {"do": "join", "id": id, "group": group}


def publish(group, text, *excluded):
    return {"do": "publish", "group": group, "text": text, "except": list(excluded)}


def payload(event):
    """The bytes of a message."""
    if "base64" in event:
        return base64.b64decode(event["base64"])
    return event.get("text", "").encode()


class Worker:
    """A worker that is attached to address: unix:PATH or HOST:PORT."""

    def __init__(self, address, name="", token="", events=1000):
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address[len("unix:"):])
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = b""
        self.asked, self.answers = 0, {}
        self.say({"type": "hello", "name": name, "token": token, "events": events})

    def say(self, *frames):
        self.socket.sendall(b"".join(json.dumps(f).encode() + b"\n" for f in frames))

    def do(self, *actions):
        """Does actions that no event has caused."""
        self.say({"type": "do", "actions": actions})

    def ask(self, what, then, **fields):
        """Asks the node, and has then called with the answer."""
        self.asked += 1
        self.answers[self.asked] = then
        self.say({"type": "ask", "request": self.asked, "what": what, **fields})

    def frames(self):
        """Yields the frames that have come, a list for each read."""
        while True:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the stream has ended")
            *lines, self.lines = (self.lines + data).split(b"\n")
            yield [json.loads(line) for line in lines]

    def run(self, handle):
        """Calls handle for every event until the session ends. The actions that it returns
        are done together with the acknowledgement, or not at all."""
        for frames in self.frames():
            numbers, actions = [], []
            for f in frames:
                kind = f["type"]
                if kind in ("open", "data", "closed"):
                    numbers.append(f["event"])
                    actions.extend(handle(f))
                elif kind == "ping":
                    self.say({"type": "pong"})
                elif kind == "answer":
                    self.answers.pop(f["request"])(f)
                elif kind == "end":
                    raise ConnectionError(f"the node ends the session: {f}")
            if numbers:
                self.say({"type": "done", "first": numbers[0], "last": numbers[-1], "actions": actions})
