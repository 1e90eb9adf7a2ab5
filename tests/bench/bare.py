"""What the bridge is compared with: uvicorn and a Starlette route that reads the body and answers 202.

The settings of server and garbage collector are the bridge's own, and so is the answer, but nothing is verified,
read or stored. `python -m tests.bench.bare PORT`
"""

import gc
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.bench.load import PATH

_GC_THRESHOLDS = (50_000, 20, 50)  # bridge.wiring.preparing
_ANSWER = {"delivery_id": "dlv_0000000000000000", "status": "accepted"}


async def _take(request: Request) -> Response:
    await request.body()
    return JSONResponse(_ANSWER, 202)


def main(port: int) -> None:
    """Serve until SIGTERM."""
    app = Starlette(routes=[Route(PATH, _take, methods=["POST"])])
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
