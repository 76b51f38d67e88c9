"""A worker that sends everything back, for a measurement."""

import sys

sys.path.insert(0, "clients/python")
from attach import Worker, send  # noqa: E402

Worker(sys.argv[1], "echo").run(lambda e: [send(e["id"], e["text"])] if e["type"] == "data" else [])
