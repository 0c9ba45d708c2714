"""Fetching public corpora: from a server of our own on the loopback, with made-up files, and from a local copy."""

import hashlib
import json
import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import ROOT, script
from stance.corpora import published
from stance.corpora.published import MARKER
from stance.errors import StanceError
from stance.jobs.fetching import FetchJob
from stance.settings.building import FetchLimits
from test_public import PUBLIC, real

FILES = {"train.txt": b"one\n" * 1000, "parts/a b.json": b'{"a": "\xc3\xa9"}', "empty.txt": b""}
LIMITS = FetchLimits(max_megabytes=0.1, timeout=2, http=True)


class Handler(BaseHTTPRequestHandler):
    """Serves `FILES`, and faults by the first part of the path."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        _, fault, *rest = self.path.split("/")
        name = "/".join(rest).replace("%20", " ")
        if fault == "gone":
            self.send_error(404)
        elif fault == "hop":
            self.moved(f"/good/{'/'.join(rest)}")
        elif fault == "loop":
            self.moved(self.path)
        elif fault == "file":
            self.moved("file:///etc/passwd")
        else:
            self.serve(fault, FILES[name])

    def moved(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve(self, fault: str, content: bytes) -> None:
        self.send_response(200)
        if fault == "endless":
            self.end_headers()
            for _ in range(400):
                self.wfile.write(bytes(1000))
            return
        self.send_header("Content-Length", str(len(content) + (fault == "cut")))
        self.end_headers()
        self.wfile.write(content[::-1] if fault == "wrong" else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


def write_table(
    folder: Path, url: str, files: dict[str, object] | None = None, name: str = "toy"
) -> published.Published:
    folder.mkdir(exist_ok=True)
    sums: dict[str, object] = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    value = {
        "url": url,
        "home": "https://example.org",
        "licence": "CC0",
        "citation": "Toy 2026",
        "files": files or sums,
    }
    (folder / f"{name}.json").write_text(json.dumps(value))
    return published.table(folder, name)


def left(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")) if root.exists() else []


def test_files_are_fetched_checked_and_marked_with_their_source(tmp_path: Path, server: str) -> None:
    corpus = write_table(tmp_path / "tables", f"{server}/good/")
    folder = published.fetch(corpus, tmp_path / "public", copy=None, limits=LIMITS)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert left(tmp_path / "public") == sorted(
        ["toy", "toy/parts", f"toy/{MARKER}", *(f"toy/{name}" for name in FILES)]
    )
    assert json.loads((folder / MARKER).read_text())["url"] == f"{server}/good/"


def test_what_is_there_already_is_not_fetched_again_and_what_was_spoilt_is(tmp_path: Path, server: str) -> None:
    corpus = write_table(tmp_path / "tables", f"{server}/good/")
    folder = published.fetch(corpus, tmp_path, copy=None, limits=LIMITS)
    (folder / "train.txt").write_bytes(b"spoilt")
    Handler.asked.clear()
    published.fetch(corpus, tmp_path, copy=None, limits=LIMITS)
    assert Handler.asked == ["/good/train.txt"]
    assert (folder / "train.txt").read_bytes() == FILES["train.txt"]


def test_what_a_person_put_there_stays(tmp_path: Path, server: str) -> None:
    corpus = write_table(tmp_path / "tables", f"{server}/good/")
    folder = published.fetch(corpus, tmp_path, copy=None, limits=LIMITS)
    (folder / "test.txt").write_text("asked for by mail")
    (folder / "parts" / "notes.txt").write_text("mine")
    (folder / "more").symlink_to(tmp_path / "tables")
    published.fetch(corpus, tmp_path, copy=None, limits=LIMITS)
    assert (folder / "test.txt").read_text() == "asked for by mail"
    assert (folder / "parts" / "notes.txt").read_text() == "mine"
    assert (folder / "more").readlink() == tmp_path / "tables"
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES


def test_a_file_may_be_published_under_another_name_and_behind_a_redirect(tmp_path: Path, server: str) -> None:
    entry = {"remote": "train.txt", "sha256": hashlib.sha256(FILES["train.txt"]).hexdigest()}
    corpus = write_table(tmp_path / "tables", f"{server}/hop/", {"mt_train.txt": entry})
    folder = published.fetch(corpus, tmp_path, copy=None, limits=LIMITS)
    assert (folder / "mt_train.txt").read_bytes() == FILES["train.txt"]


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ("wrong", r"sha256 [0-9a-f]{12}…, expected [0-9a-f]{12}…; the file is not the published one"),
        ("gone", r"/gone/.*: the server answers 404 Not Found; nothing was kept"),
        ("cut", r"/cut/.*: can't be fetched \(.*\); nothing was kept, try again or give path="),
        ("loop", r"/loop/.*: more than 5 redirects"),
        ("file", r"file:///etc/passwd: only https addresses are fetched"),
        ("endless", r"/endless/.*: over 0\.1 MB, the limit \(limits\.max_megabytes\)"),
    ],
)
def test_a_fault_keeps_what_was_there_and_leaves_nothing_half_written(
    tmp_path: Path, server: str, fault: str, match: str
) -> None:
    bad = write_table(tmp_path / "tables", f"{server}/{fault}/")
    with pytest.raises(StanceError, match=match) as caught:
        published.fetch(bad, tmp_path / "public", copy=None, limits=LIMITS)
    assert "\n" not in str(caught.value)
    assert left(tmp_path / "public") == []
    good = write_table(tmp_path / "tables", f"{server}/good/")
    folder = published.fetch(good, tmp_path / "public", copy=None, limits=LIMITS)
    (folder / "train.txt").write_bytes(b"other")
    before = left(tmp_path / "public")
    with pytest.raises(StanceError, match=match):
        published.fetch(bad, tmp_path / "public", copy=None, limits=LIMITS)
    assert left(tmp_path / "public") == before
    assert (folder / "train.txt").read_bytes() == b"other"


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    corpus = write_table(tmp_path / "tables", "http://127.0.0.1:1/")
    with pytest.raises(StanceError, match=r"^http://127\.0\.0\.1:1/empty\.txt: can't be fetched \(.*refused.*path=$"):
        published.fetch(corpus, tmp_path / "public", copy=None, limits=LIMITS)


@pytest.mark.parametrize("limits", [{"timeout": 0}, {"timeout": float("nan")}, {"max_megabytes": -1}])
def test_a_limit_without_a_meaning_is_refused(tmp_path: Path, limits: dict[str, float]) -> None:
    corpus = write_table(tmp_path / "tables", "http://127.0.0.1:1/")
    with pytest.raises(StanceError, match=rf"^limits\.{next(iter(limits))}=.*: expected a number above 0$"):
        published.fetch(corpus, tmp_path / "public", copy=None, limits=replace(LIMITS, **limits))


def test_only_https_is_fetched_unless_told_otherwise(tmp_path: Path, server: str) -> None:
    for url in (f"{server}/good/", "ftp://example.org/", "file:///etc/"):
        corpus = write_table(tmp_path / "tables", url)
        with pytest.raises(StanceError, match="only https addresses are fetched"):
            published.fetch(corpus, tmp_path / "public", copy=None, limits=FetchLimits())
    assert Handler.asked == []


def test_a_local_copy_is_checked_and_copied(tmp_path: Path) -> None:
    corpus = write_table(tmp_path / "tables", "https://example.org/")
    for name, content in FILES.items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(content)
    folder = published.fetch(corpus, tmp_path / "public", copy=tmp_path / "copy", limits=FetchLimits())
    assert (folder / "train.txt").read_bytes() == FILES["train.txt"]
    (tmp_path / "copy" / "train.txt").write_bytes(b"other")
    with pytest.raises(StanceError, match=r"train\.txt: sha256 .* is not the published one"):
        published.fetch(corpus, tmp_path / "again", copy=tmp_path / "copy", limits=FetchLimits())
    (tmp_path / "copy" / "train.txt").unlink()
    with pytest.raises(StanceError, match=r"copy/train\.txt: missing; expected the published files, whole"):
        published.fetch(corpus, tmp_path / "again", copy=tmp_path / "copy", limits=FetchLimits())
    with pytest.raises(StanceError, match="no such directory; expected a local copy of toy"):
        published.fetch(corpus, tmp_path / "again", copy=tmp_path / "none", limits=FetchLimits())
    assert left(tmp_path / "again") == []


def test_files_of_somebody_else_are_not_overwritten(tmp_path: Path, server: str) -> None:
    (tmp_path / "public" / "toy").mkdir(parents=True)
    (tmp_path / "public" / "toy" / "thesis.txt").write_text("mine")
    corpus = write_table(tmp_path / "tables", f"{server}/good/")
    with pytest.raises(StanceError, match=r"holds files but no SOURCE\.json"):
        published.fetch(corpus, tmp_path / "public", copy=None, limits=LIMITS)
    assert (tmp_path / "public" / "toy" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"../a": "0" * 64}, "'../a' leads out of the corpus's directory"),
        ({"/etc/a": "0" * 64}, "'/etc/a' leads out"),
        ({"": "0" * 64}, r"toy\.json: '' is no name of a file; expected one such as"),
        ({".": "0" * 64}, r"'\.' is no name of a file"),
        ({"a\0b": "0" * 64}, r"'a\\x00b' is no name of a file"),
        ({"a": "0" * 64, "a/b": "0" * 64}, "'a/b' lies in what is a file too; give each file"),
        ({"a": "0" * 64, "./a": "0" * 64}, "two names mean one file; name each once"),
        ({"a": "xyz"}, "a: expected a sha256 of 64 hexadecimal digits, found 'xyz'"),
        ({"a": {"remote": "b"}}, r"toy\.json: expected url, home, licence, citation and files"),
        (["a"], r"toy\.json: expected url, home"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path: Path, files: dict[str, object], match: str) -> None:
    with pytest.raises(StanceError, match=match):
        write_table(tmp_path, "https://example.org/", files)


def test_an_unknown_corpus_names_those_that_are_known() -> None:
    for name in ("imdb", "", "../published/dse", "a\0b"):
        with pytest.raises(StanceError, match=r"no such corpus in .*; those there are dse, newsmtsc, seesaw"):
            published.table(ROOT / "data" / "published", name)


def test_the_tables_list_no_file_of_a_test_part_and_only_addresses_with_a_commit() -> None:
    for name, count in (("dse", 2), ("newsmtsc", 3), ("seesaw", 1134)):
        corpus = published.table(ROOT / "data" / "published", name)
        assert len(corpus.files) == count
        assert corpus.url.startswith("https://raw.githubusercontent.com/")
        assert [file.path for file in corpus.files if "test" in f"{file.path} {file.remote}"] == []


def test_the_script_says_licence_and_citation(tmp_path: Path, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path / "tables", f"{server}/good/")
    options = [f"tables={tmp_path / 'tables'}", f"root={tmp_path / 'public'}", "name=toy", "limits.http=true"]
    folder = script("fetch_corpus").main(options)
    assert (folder / MARKER).is_file()
    printed = capsys.readouterr().out
    for part in ("licence: CC0", "cite: Toy 2026", "3 files of toy from https://example.org", f"3 files in {folder}"):
        assert part in printed
    assert "build with" not in printed, "conf/corpus/ has no toy"


@pytest.mark.parametrize("name", ["seesaw", "dse", "newsmtsc"])
@pytest.mark.parametrize("root", ["data/public", "my corpora"])
def test_the_script_prints_a_next_command_that_reads_what_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, root: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "tables", "https://example.org/", {"a.txt": hashlib.sha256(b"a").hexdigest()}, name)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "a.txt").write_bytes(b"a")
    folder = script("fetch_corpus").main([f"root={root}", f"tables={tmp_path}/tables", "path=copy", f"name={name}"])
    words = shlex.split(capsys.readouterr().out.strip().partition("; build with ")[2])
    assert words[0] == f"corpus={name}"
    assert len(words) == (1 if root == FetchJob().root else 2), "the path where it is another one"
    monkeypatch.chdir(ROOT)
    read = Path(script("build_dataset").main.compose(words).corpora[name].path)
    assert read == folder / ("SEESAW" if name == "seesaw" else "")


@real
def test_the_published_files_have_the_sums_of_the_tables(tmp_path: Path) -> None:
    for name in ("dse", "newsmtsc", "seesaw"):
        corpus = published.table(ROOT / "data" / "published", name)
        folder = published.fetch(corpus, tmp_path, copy=PUBLIC / name, limits=FetchLimits())
        sums = {file.path: hashlib.sha256((folder / file.path).read_bytes()).hexdigest() for file in corpus.files}
        assert sums == {file.path: file.sha256 for file in corpus.files}
