// A chat room across the nodes of a cluster. Its twins are ../room/main.go and
// ../python/room.py: any of them may serve any node, and take over from another.

import { setTimeout } from "node:timers/promises";
import { Worker, close, join, payload, publish, send } from "./attach.mjs";

const room = "room";

function handle(event, worker) {
  const { id, type } = event;
  if (type === "open") return [join(id, room), send(id, `welcome ${id}`)];
  if (type === "closed") return [publish(room, `* ${id} left`)];
  const text = payload(event).toString();
  if (text === "/quit") return [send(id, "bye"), close(id)];
  if (text === "/who") {
    worker.ask("count", { name: room }).then(({ body }) => worker.do(send(id, `${body.count} here`)));
    return [];
  }
  return [publish(room, `${id}: ${text}`)];
}

// Attaches to the address that is given, again and again: a node may come back.
const [address, name] = process.argv.slice(2);
for (;;) {
  const worker = new Worker(address, { name, token: process.env.ATTACH_TOKEN, handle });
  console.error("room:", (await worker.ended).message);
  await setTimeout(200);
}
