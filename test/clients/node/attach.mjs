// A worker of a Flamingo node in JavaScript for Node.js, without a dependency: copy it and
// change it. docs/attach.md is the protocol; this speaks JSON in lines over TCP or a Unix socket.

import net from "node:net";

export const send = (id, text) => ({ do: "send", id, text });
export const close = (id, code = 0, reason = "") => ({ do: "close", id, code, reason });
export const join = (id, group) => ({ do: "join", id, group });
export const publish = (group, text, ...except) => ({ do: "publish", group, text, except });

// payload is the bytes of a message.
export const payload = (event) =>
  event.base64 ? Buffer.from(event.base64, "base64") : Buffer.from(event.text ?? "");

// A Worker is attached to an address, unix:PATH or HOST:PORT. It calls handle for every
// event: the actions that it returns are done together with the acknowledgement, or not at
// all. ended is a promise of why the session has ended.
export class Worker {
  constructor(address, { name = "", token = "", events = 1000, handle }) {
    const at = address.lastIndexOf(":");
    this.socket = address.startsWith("unix:")
      ? net.connect(address.slice("unix:".length))
      : net.connect(Number(address.slice(at + 1)), address.slice(0, at)).setNoDelay();
    this.handle = handle;
    this.asked = 0;
    this.answers = new Map();
    this.rest = "";
    this.ended = new Promise((resolve) => {
      this.socket.once("error", resolve);
      this.socket.once("close", () => resolve(new Error(this.why ?? "the stream has ended")));
    });
    this.socket.setEncoding("utf8").on("data", (text) => this.take(text));
    this.say({ type: "hello", name, token, events });
  }

  say(frame) {
    this.socket.write(JSON.stringify(frame) + "\n");
  }

  // do does actions that no event has caused.
  do(...actions) {
    this.say({ type: "do", actions });
  }

  // ask asks the node, and returns a promise of the answer.
  ask(what, fields) {
    const request = ++this.asked;
    this.say({ type: "ask", request, what, ...fields });
    return new Promise((resolve) => this.answers.set(request, resolve));
  }

  take(text) {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop();
    const numbers = [];
    const actions = [];
    for (const line of lines) {
      const frame = JSON.parse(line);
      switch (frame.type) {
        case "open":
        case "data":
        case "closed":
          numbers.push(frame.event);
          actions.push(...this.handle(frame, this));
          break;
        case "ping":
          this.say({ type: "pong" });
          break;
        case "answer":
          this.answers.get(frame.request)?.(frame);
          this.answers.delete(frame.request);
          break;
        case "end":
          this.why = `the node ends the session: ${line}`;
      }
    }
    if (numbers.length > 0) {
      this.say({ type: "done", first: numbers[0], last: numbers.at(-1), actions });
    }
  }
}
