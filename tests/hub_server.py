"""A Hub on the loopback interface, for tests: huggingface_hub's own client can't tell it apart.

It speaks what that client speaks without Xet: repositories, LFS uploads, commits, branches, pull
requests and their merging, trees, downloads with redirects to another host, and the check of cards.
Xet is not covered, so clients run in a process whose environment holds `HubServer.environment()`,
which must be there before they import huggingface_hub.

    with running() as hub:
        subprocess.run([...], env=os.environ | hub.environment())
        assert hub.model("alice/tuned").files()["README.md"] == ...
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.hub_http import TOKEN, Answer, Asked, Fault, Handler, Refused
from tests.hub_repos import Json, Repo, card_errors, upload_mode

__all__ = ["Fault", "HubServer", "connected", "running"]


@dataclass
class HubServer:
    """What the Hub holds, what it was asked, and what shall go wrong."""

    url: str = ""
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """The LFS store: hash -> bytes."""
    asked: list[str] = field(default_factory=list)
    """Routes, in the order of the requests."""
    faults: list[Fault] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    """Requests that carried a token to the host of the LFS store."""

    def environment(self, token: str | None = TOKEN, *, home: Path) -> dict[str, str]:
        """What a client needs in its environment; one without a token is not logged in."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": token or "",
            "HF_HOME": str(home),
        }

    def add(self, kind: str, name: str, **files: bytes) -> Repo:
        """Put a repository there, as if someone had pushed it; `kind` as in the API."""
        repo = self.repos[kind, name] = Repo(kind, name)
        repo.put("main", files, "put there")
        return repo

    def repo(self, kind: str, name: str) -> Repo | None:
        """A repository by `models` or `datasets` and its id."""
        return self.repos.get((kind, name))

    def model(self, name: str) -> Repo:
        """The repository of a model. Raises `KeyError` when there is none."""
        return self.repos["models", name]

    def dataset(self, name: str) -> Repo:
        """The repository of a dataset. Raises `KeyError` when there is none."""
        return self.repos["datasets", name]

    def fault(self, route: str) -> Fault | None:
        """Note a request; what shall befall it."""
        self.asked.append(route)
        count = Counter(self.asked)[route]
        due = (f for f in self.faults if f.route == route and 0 <= count - f.at < f.times)
        return next(due, None)

    def answer(self, asked: Asked) -> Answer:
        """Ask the method named as the route. Raises `Refused`."""
        try:
            found = getattr(self, asked.route.replace("-", "_"))(asked)
        except KeyError as error:
            code = "RevisionNotFound" if asked.parts.get("revision") in error.args else "Entry"
            raise Refused(404, f"no {error}", code.replace("Entry", "EntryNotFound")) from None
        return found if isinstance(found, Answer) else Answer(found)

    def whoami(self, asked: Asked) -> Json:
        name, role, orgs = asked.user
        return {
            "type": "user",
            "name": name,
            "orgs": [{"name": org} for org in orgs],
            "auth": {"type": "access_token", "accessToken": {"role": role}},
        }

    def validate_yaml(self, asked: Asked) -> Json:
        body = asked.json()
        errors = card_errors(body["content"], body["repoType"])
        told: Json = {"errors": [{"message": error} for error in errors]}
        told["warnings"] = [{"message": "a remark"}] if "remark" in body["content"] else []
        if errors:
            raise Refused(400, "Invalid metadata", body=told)
        return told

    def create(self, asked: Asked) -> Json:
        body = asked.json()
        kind, owner = body.get("type", "model") + "s", body["organization"] or asked.user[0]
        name = f"{owner}/{body['name']}"
        asked.must_write(owner)
        told = {"url": self._page(kind, name), "name": name}
        if (kind, name) in self.repos:
            error = "You already created this repo"
            raise Refused(409, error, body=told | {"error": error})
        self.repos[kind, name] = Repo(kind, name, body.get("visibility") == "private")
        return told

    def _page(self, kind: str, name: str) -> str:
        return f"{self.url}/{'datasets/' if kind == 'datasets' else ''}{name}"

    def preupload(self, asked: Asked) -> Json:
        tree, files = asked.repo().tree(asked.parts["revision"]), []
        for file in asked.json()["files"]:
            old = tree.get(file["path"])
            oid = None if old is None else (old.sha256 if old.lfs else old.oid)
            mode = upload_mode(file["path"], file["size"])
            told = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}
            files.append(told)
        return {"files": files}

    def lfs_batch(self, asked: Asked) -> Json:
        asked.repo()
        return {"transfer": "basic", "objects": [self._lfs(o) for o in asked.json()["objects"]]}

    def _lfs(self, item: Json) -> Json:
        """Where to put an object that is not there yet: the same port, another host name."""
        told = {"oid": item["oid"], "size": item["size"]}
        if item["oid"] in self.objects:
            return told
        store = self.url.replace("127.0.0.1", "localhost")
        actions = {"upload": f"{store}/lfs/{item['oid']}", "verify": f"{self.url}/lfs/verify"}
        return told | {"actions": {name: {"href": href} for name, href in actions.items()}}

    def lfs_put(self, asked: Asked) -> Json:
        oid = asked.parts["oid"]
        if hashlib.sha256(asked.body).hexdigest() != oid:
            raise Refused(400, "the bytes have another hash")
        self.objects[oid] = asked.body[::-1] if asked.garbled else asked.body
        return {}

    def lfs_verify(self, asked: Asked) -> Json:
        body = asked.json()
        if len(self.objects.get(body["oid"], b"")) != body["size"]:
            raise Refused(404, "no such object")
        return {}

    def lfs_get(self, asked: Asked) -> Answer:
        found = self.objects[asked.parts["oid"]]
        return Answer(found[::-1] if asked.garbled else found)

    def commit(self, asked: Asked) -> Json:
        repo, branch, told = asked.repo(), asked.parts["revision"], dict[str, Any]()
        page = self._page(repo.kind, repo.name)
        if "create_pr" in asked.query:
            number = 1 + sum(name.startswith("refs/pr/") for name in repo.branches)
            repo.branches[f"refs/pr/{number}"] = repo.branches[branch]
            branch, told = f"refs/pr/{number}", {"pullRequestUrl": f"{page}/discussions/{number}"}
        try:
            commit = repo.commit(branch, asked.body, self.objects)
        except ValueError as error:
            raise Refused(412, str(error)) from None
        return told | {"commitOid": commit, "commitUrl": f"{page}/commit/{commit}"}

    def merge(self, asked: Asked) -> Json:
        repo, request = asked.repo(), f"refs/pr/{asked.parts['number']}"
        repo.advance("main", dict(repo.tree(request)), f"Merge {request}")
        return {}

    def branch(self, asked: Asked) -> Json:
        repo, name = asked.repo(), asked.parts["revision"]
        if name in repo.branches:
            raise Refused(409, "the branch exists")
        repo.branches[name] = repo.commit_of(asked.json().get("startingPoint", "main"))
        return {}

    def info(self, asked: Asked) -> Json:
        return asked.repo().info(asked.parts["revision"] or "main")

    def tree(self, asked: Asked) -> Answer:
        deep = asked.query.get("recursive", [""])[0].lower() in ("true", "1")
        repo, under = asked.repo(), asked.parts["path"]
        return Answer(repo.entries(asked.parts["revision"], under, recursive=deep))

    def paths_info(self, asked: Asked) -> Answer:
        wanted = parse_qs(asked.body.decode())["paths"]
        every = asked.repo().entries(asked.parts["revision"], recursive=True)
        return Answer([entry for entry in every if entry["path"] in wanted])

    def resolve(self, asked: Asked) -> Answer:
        repo, path = asked.repo(), asked.parts["path"]
        commit = repo.commit_of(asked.parts["revision"])
        blob = repo.trees[commit][path]
        head = (("X-Repo-Commit", commit), ("ETag", f'"{blob.oid}"'))
        if not blob.lfs:
            return Answer(blob.content, headers=head)
        store = self.url.replace("127.0.0.1", "localhost")
        linked = (
            ("X-Linked-Etag", f'"{blob.sha256}"'),
            ("X-Linked-Size", str(len(blob.content))),
            ("Location", f"{store}/lfs/{blob.sha256}"),
        )
        return Answer(b"", 302, (*head, *linked))


@contextmanager
def running() -> Iterator[HubServer]:
    """A server on a free port, in threads of this process, while the context lasts."""
    hub = HubServer()
    handler = type("HubHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def connected(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[HubServer]:
    """A Hub that this very process talks to while the context lasts, logged in as `alice`.

    Without Xet, and without waiting before the client tries again. What the client read from its
    environment when it was imported is patched, so downloads by other libraries are not covered.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    with running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        place = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", place)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "no-token"))
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        _http.close_session()
        yield hub
        _http.close_session()
