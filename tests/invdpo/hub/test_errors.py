"""Every way in which the Hub can say no: told early, in plain words, and without any token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invdpo.hub.errors import HubError
from invdpo.hub.folder import check_push
from invdpo.schemas import ConfigError, InvdpoError
from tests.hub_folder import CARD, KEPT, model_folder, push
from tests.hub_http import READER, STRANGER, TOKEN
from tests.hub_server import Fault, HubServer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path)


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_check_before_the_work(hub: HubServer, kind: Any) -> None:
    place = "datasets/" if kind == "dataset" else ""
    assert check_push("lab/new", kind, private=True) == f"{hub.url}/{place}lab/new"
    assert hub.repos == {}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "tuned",
        "a/b/c",
        "-a/b",
        "a/b-",
        "a/b--c",
        "a/b..c",
        "a b/c",
        "ä/b",
        "a/b.git",
        "a/" + "b" * 97,
        "../b",
        "a/b\n",
    ],
)
def test_names_that_the_hub_does_not_allow(hub: HubServer, name: str, folder: Path) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    with pytest.raises(ConfigError, match="expected OWNER/NAME"):
        check_push(name)
    with pytest.raises(ConfigError, match="expected OWNER/NAME"):
        push(folder, name)
    assert hub.asked == []
    if "/" in name and name != "a/b\n":
        with pytest.raises(HFValidationError):
            validate_repo_id(name)


@pytest.mark.parametrize(
    ("token", "owner", "expected"),
    [
        ("", "alice", "not logged in to the Hub: run `hf auth login`"),
        ("hf_wrongwrongwrong", "alice", "the Hub refused the token (401)"),
        (READER, "alice", "the token of alice has only read access."),
        (TOKEN, "mallory", "alice has write access to alice or lab, not to mallory."),
    ],
)
def test_who_may_not_push_learns_it_first(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, token: str, owner: str, expected: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HubError) as error:
        check_push(f"{owner}/x")
    assert str(error.value).startswith(f"{owner}/x: {expected}")
    no_token_in(error.value, token)


FAULTS = [
    (Fault("create", status=403, text="Forbidden"), "no write access (Forbidden)"),
    (
        Fault("commit", status=403, text="Private storage limit reached"),
        "its storage quota is exceeded",
    ),
    (
        Fault("lfs-batch", status=413, text="Too big"),
        "its storage quota is exceeded (413: Too big)",
    ),
    (Fault("lfs-put", status=403, text="Request has expired"), "no write access"),
    (Fault("commit", status=412, text="Behind"), "changed by someone else in the meantime"),
    (Fault("commit", status=404, text="Gone"), "not on the Hub, or this token has no access"),
    (Fault("commit", status=400, text="Bad file"), "the Hub rejected the request (Bad file)"),
    (Fault("create", status=429, text="Slow down"), "the Hub's rate limit is reached (429)"),
    (Fault("preupload", status=503, times=9), "the Hub failed (503: injected). Try again later."),
    (Fault("create", "cut", times=9), "the Hub can't be reached at http://127.0.0.1:"),
    (Fault("lfs-put", "cut", times=99), "the Hub can't be reached at http://127.0.0.1:"),
    (Fault("lfs-put", "garble"), "did not arrive intact"),
    (Fault("commit", status=403, text=f"no {TOKEN} here"), "no write access (no hf_… here)"),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS)
def test_what_goes_wrong_is_told_in_plain_words(
    hub: HubServer, folder: Path, fault: Fault, expected: str
) -> None:
    hub.faults = [fault]
    with pytest.raises(HubError) as error:
        push(folder)
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) <= 2
    no_token_in(error.value, TOKEN)
    hub.faults = []
    if fault.how != "garble":  # and then the same push succeeds
        push(folder)
        assert hub.model("alice/tuned").files() == KEPT


def no_token_in(error: BaseException, token: str) -> None:
    """Neither the text nor a traceback tells it, not even with the locals of the client cut off."""
    import traceback

    shown = "".join(traceback.format_exception(error))
    assert "During handling" not in shown
    assert "direct cause" not in shown
    assert not token or token not in shown


def test_an_upload_that_is_cut_once_goes_on(hub: HubServer, folder: Path) -> None:
    hub.faults = [Fault("lfs-put", "cut"), Fault("preupload", status=502)]
    push(folder)
    assert hub.model("alice/tuned").files() == KEPT


def test_a_small_file_that_others_changed_is_found(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between commit and list nobody can write, but a Hub may normalise what it keeps."""
    from tests.hub_repos import Repo

    kept = Repo.advance

    def loses(repo: Repo, branch: str, tree: Any, message: str) -> str:
        return kept(repo, branch, {p: b for p, b in tree.items() if p != "metrics.jsonl"}, message)

    monkeypatch.setattr(Repo, "advance", loses)
    with pytest.raises(HubError, match=r"metrics\.jsonl did not arrive intact"):
        push(folder)


def test_a_card_that_the_hub_refuses(hub: HubServer, folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: my own\n---\n")
    with pytest.raises(HubError, match=r"alice/x: refused: .*license"):
        check_push("alice/x", card=(folder / "README.md").read_text())
    with pytest.raises(HubError, match=r"Invalid metadata in README\.md.*license"):
        push(folder)
    assert "lfs-put" not in hub.asked


def test_remarks_of_the_client_are_not_for_users(
    hub: HubServer, folder: Path, recwarn: pytest.WarningsRecorder, capfd: Any
) -> None:
    (folder / "README.md").write_bytes(CARD + b"remark")
    push(folder)
    push(folder)  # which would be an empty commit
    assert not [warning for warning in recwarn if "remark" in str(warning.message)]
    assert "".join(capfd.readouterr()) == ""


def test_no_hub_at_all(monkeypatch: pytest.MonkeyPatch, hub: HubServer) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InvdpoError, match=r"can't be reached at http://127\.0\.0\.1:9") as error:
        check_push("alice/x")
    no_token_in(error.value, TOKEN)


def test_offline(monkeypatch: pytest.MonkeyPatch, hub: HubServer) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        check_push("alice/x")


def test_one_who_may_not_write_to_another(hub: HubServer, folder: Path, monkeypatch: Any) -> None:
    hub.add("models", "alice/tuned")
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    with pytest.raises(HubError, match="no write access"):
        push(folder)
    assert hub.model("alice/tuned").files() == {}
