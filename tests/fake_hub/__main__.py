"""`python -m fake_hub --root DIR --port 0`: serves the Hub in DIR on 127.0.0.1 and prints its port."""

import argparse
import socket
import sys
from pathlib import Path

import uvicorn

from fake_hub.server import make_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="fake_hub")
    parser.add_argument("--root", type=Path, required=True, help="the folder of its state")
    parser.add_argument("--port", type=int, default=0, help="0 for any that is free")
    options = parser.parse_args()
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", options.port))
        listening.listen(128)
        app = make_app(options.root)
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="warning", proxy_headers=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
