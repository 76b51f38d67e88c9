// A worker that sends everything back, for a measurement.

import { Worker, send } from "../clients/node/attach.mjs";

const handle = (e) => (e.type === "data" ? [send(e.id, e.text)] : []);
await new Worker(process.argv[2], { name: "echo", handle }).ended;
