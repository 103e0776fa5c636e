"""Serves one of invdpo's scorers over HTTP, by the contract of docs/scorers.md.

    python tools/remote_scorer.py clip --port 8900

A scorer that needs an environment of its own is served by a file like this one in that
environment: `answer` is all that has to be replaced, and nothing of invdpo is needed for it.
"""

from __future__ import annotations

import argparse
import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from invdpo.curate.batching import Failure, attempt
from invdpo.curate.candidate import Candidate
from invdpo.curate.scorers import SCORERS, Scorer
from invdpo.schemas.config.score import ScoreConfig

LARGEST = 1_000_000_000


def identity(scorer: Scorer) -> dict[str, Any]:
    """What the server says of itself."""
    return {"protocol": 1, "scorer": scorer.name, "revision": scorer.revision}


def answer(scorer: Scorer, question: dict[str, Any]) -> dict[str, Any]:
    """Scores, or reasons, for the cases of a question."""
    cases = [Candidate(_row(case)) for case in question["cases"]]
    verdicts = attempt(scorer, cases)
    return {
        "scores": [
            {"id": case["id"], "error": verdict.reason}
            if isinstance(verdict, Failure)
            else {"id": case["id"], "score": verdict.score, "components": dict(verdict.components)}
            for case, verdict in zip(question["cases"], verdicts, strict=True)
        ]
    }


def _row(case: dict[str, Any]) -> dict[str, Any]:
    row = {"candidate_id": case["id"], "prompt": case.get("prompt")}
    for name in ("graph", "observed_graph"):
        row[name] = json.dumps(case[name]) if case.get(name) is not None else None
    image = case.get("image")
    return row | {"image": {"bytes": base64.b64decode(image)} if image else None}


def serve(scorer: Scorer, port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """A server that is ready to run; one question is worked on at a time."""
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(identity(scorer))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 < length <= LARGEST:
                return self.send_error(413)
            with lock:
                self._send(answer(scorer, json.loads(self.rfile.read(length))))

        def _send(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of each request."""

    return ThreadingHTTPServer((host, port), Handler)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scorer", choices=SCORERS.names())
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--config", default="{}", help="Values of the section `score`, as JSON.")
    given = parser.parse_args()
    config = ScoreConfig.model_validate_json(given.config)
    server = serve(SCORERS[given.scorer](config), given.port)
    print(f"{given.scorer} at http://127.0.0.1:{server.server_port}")
    server.serve_forever()


if __name__ == "__main__":
    main()
