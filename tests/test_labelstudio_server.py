"""The real Label Studio: our configuration, tasks and predictions go in, two people annotate, the export is read back.

The server gets an environment of its own in a temporary folder, or is taken from STANCE_LABEL_STUDIO, the path of one
in which it is installed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

import servers
from stance import corpora
from stance.corpora import labelstudio
from stance.records import Annotation, Article, Mention, Stance, Triple

pytestmark = pytest.mark.slow

VERSION = "1.23.2"
CORPUS = Path(__file__).resolve().parents[1] / "data" / "corpus"
UNREACHED = re.compile("NewConnectionError|NameResolutionError|ConnectTimeoutError|ProxyError|Failed to establish")
TOKEN, OWNER, OTHER, PASSWORD = "f" * 40, "ana@example.org", "ben@example.org", "only-on-loopback-1"
ODD = (
    "👩🏽‍🚒 Iran\u200b praised the\r\nRussian plan.\u2028"
    "But e\u0301lan \u05e9\u05dc\u05d5\u05dd \u202eTehran warned <b>𝔘nited</b> Ruhn."
)


def environment(folder: Path) -> Path:
    """An environment with Label Studio; skips if no package registry can be reached, fails if it can't be installed."""
    if given := os.environ.get("STANCE_LABEL_STUDIO"):
        return Path(given)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [folder / "bin" / "pip", "install", "--no-compile", "--retries", "2", f"label-studio=={VERSION}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        if UNREACHED.search(done.stdout):
            pytest.skip("no package registry can be reached, so Label Studio can't be installed")
        pytest.fail(f"pip can't install label-studio=={VERSION}: " + "\n".join(done.stdout.splitlines()[-15:]))
    return folder


@dataclass(frozen=True)
class Server:
    """A running server; calls are made as the person whose token is given."""

    url: str

    def call(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            pytest.fail(f"{method} {path}: {error.code} {error.read().decode()[:2000]}")

    def sign_up(self, email: str) -> str:
        """Another person, by an invitation as a browser would follow it; returns the token."""
        invitation = self.url + self.call("GET", "/api/invite")["invite_url"]
        jar = CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        browser.open(invitation, timeout=60).read()
        secret = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
        form = urllib.parse.urlencode({"csrfmiddlewaretoken": secret, "email": email, "password": PASSWORD})
        request = urllib.request.Request(invitation, form.encode(), {"Referer": invitation})  # noqa: S310
        browser.open(request, timeout=60).read()
        with browser.open(f"{self.url}/api/current-user/token", timeout=60) as answer:
            return str(json.loads(answer.read())["token"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Label Studio on loopback with sqlite; its process is ended and its environment removed afterwards."""
    place = tmp_path_factory.mktemp("label-studio")
    python, port, data = environment(place / "environment"), servers.free_port(), place / "data"
    data.mkdir()
    command = [f"{python}/bin/label-studio", "start", "--no-browser", "--data-dir", str(data), "--port", str(port)]
    command += ["--internal-host", "127.0.0.1", "--username", OWNER, "--password", PASSWORD, "--user-token", TOKEN]
    command += ["--enable-legacy-api-token", "--log-level", "WARNING"]
    settings = {"COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "", "DJANGO_DB": "sqlite"}
    settings |= {"LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true", "FRONTEND_SENTRY_DSN": "", "HOME": str(place)}
    try:
        with servers.started(command, "health", place, port, settings) as address:
            yield Server(address)
    finally:
        shutil.rmtree(place / "environment", ignore_errors=True)


def at(phrase: str) -> tuple[int, int]:
    start = ODD.index(phrase)
    return start, start + len(phrase)


def odd() -> Article:
    """Odd characters, names that are not printed, and two annotators who take turns."""
    first, second = at(ODD.partition("\u2028")[0]), at(ODD.partition("\u2028")[2])
    iran, ruhn = Mention("Iran\u200b", *at("Iran\u200b")), Mention("Ana <Ruhn>", *at("𝔘nited</b> Ruhn"))
    plan = Mention("plan", *at("the\r\nRussian plan"))
    notes = (
        Annotation(iran, plan, Stance.SUPPORT, (first,), ("praise", "deed"), "ana"),
        Annotation(Mention("Moscow"), ruhn, Stance.OPPOSE, (second, first), (), "ben", "weak", 0.1 + 0.2, (1 / 3,) * 3),
        Annotation(iran, plan, Stance.NEUTRAL, (first,), (), "ana"),
        Annotation(iran, Mention("peace & quiet"), Stance.NEUTRAL, (first,), (), "ana"),
    )
    return Article("odd/1", ODD, title='A "title" & more', date="2026-01-02", exhaustive=True, annotations=notes)


def by_hand(actor: tuple[int, int], target: tuple[int, int], stance: str, name: str) -> list[dict[str, Any]]:
    """What the editor sends for two mentions in one evidence, with line ends as it writes them."""

    def result(key: str, span: tuple[int, int], name: str, kind: str, **value: Any) -> dict[str, Any]:
        shown = re.sub(r"[\n\r]", r"\\n", ODD[slice(*span)])
        place = {"start": span[0], "end": span[1], "text": shown}
        return {
            "id": key,
            "from_name": name,
            "to_name": "text",
            "type": kind,
            "origin": "manual",
            "value": place | value,
        }

    return [
        result("xA1", actor, "label", "labels", labels=["Actor"]),
        result("xT1", target, "label", "labels", labels=["Target"]),
        result("xT1", target, "name", "textarea", text=[name]),
        result("xE1", (0, len(ODD)), "label", "labels", labels=["Evidence"]),
        {"from_id": "xA1", "to_id": "xT1", "type": "relation", "direction": "right", "labels": [stance, "irony"]},
        {"from_id": "xE1", "to_id": "xT1", "type": "relation", "direction": "right"},
    ]


def test_what_goes_into_the_real_server_comes_back_and_so_does_what_people_add(server: Server, tmp_path: Path) -> None:
    articles = [*corpora.read(CORPUS)[:400:200], odd(), Article("plain", ODD)]
    iran, plan = at("Iran"), at("the\r\nRussian plan")
    triple = Triple("plain", Mention("Iran", *iran), Mention("plan", *plan), Stance.SUPPORT, 0.75, (at(ODD),))
    project = server.call("POST", "/api/projects", {"title": "stances", "label_config": labelstudio.CONFIG})["id"]
    tasks = list(labelstudio.tasks(articles, {"plain": [triple]}))
    answer = server.call("POST", f"/api/projects/{project}/import?return_task_ids=true", tasks)
    assert (answer["task_count"], answer["annotation_count"], answer["prediction_count"]) == (4, 4, 1)
    plain, ben = answer["task_ids"][-1], server.sign_up(OTHER)
    (prediction,) = server.call("GET", f"/api/tasks/{plain}")["predictions"]
    assert (prediction["score"], prediction["model_version"]) == (0.75, "stance")

    for token, stance, name in ((TOKEN, "support", "peace plan"), (ben, "oppose", "the plan")):
        made = server.call(
            "POST", f"/api/tasks/{plain}/annotations/", {"result": by_hand(iran, plan, stance, name)}, token
        )
        assert made["result"]
    kept = server.call("GET", f"/api/tasks/{answer['task_ids'][0]}/annotations/")[0]
    server.call("PATCH", f"/api/annotations/{kept['id']}/", {"result": kept["result"]}, ben)  # somebody saves it again

    exported = server.call("GET", f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true")
    path = tmp_path / "export.json"
    path.write_text(json.dumps(exported), "utf-8")
    found = corpora.read(path, "labelstudio")
    assert [replace(a, where="") for a in found[:-1]] == [replace(a, where="") for a in articles[:-1]]
    people = [server.call("GET", "/api/current-user/whoami", token=token)["id"] for token in (TOKEN, ben)]
    evidence = ((0, len(ODD)),)
    assert sorted(found[-1].annotations, key=lambda note: note.annotator) == [
        Annotation(Mention("Iran", *iran), Mention(name, *plan), stance, evidence, ("irony",), str(person))
        for person, stance, name in zip(
            people, (Stance.SUPPORT, Stance.OPPOSE), ("peace plan", "the plan"), strict=True
        )
    ]
