"""Public corpora from where they were published, or from a local copy: every file checked, whole or not at all.

What is published where, with sha256 sums, stands in `data/published/NAME.json`. Files of the official test parts are
not listed there and not fetched. Nothing of a corpus is run or unpacked.
"""

import hashlib
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter, Retry
from tqdm import tqdm

from stance import files, jsonl
from stance.errors import StanceError
from stance.settings.building import FetchLimits

MARKER = "SOURCE.json"
"""Written last: where the files of a directory come from."""
REDIRECTS = 5
_CHUNK = 1 << 16
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class File:
    """Where one file goes, where it is published (relative to the corpus's url), and its sha256."""

    path: str
    remote: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Published:
    """A corpus as it was published."""

    name: str
    url: str
    home: str
    licence: str
    citation: str
    files: tuple[File, ...]


def table(tables: Path, name: str) -> Published:
    """What `tables/NAME.json` says of a corpus.

    Raises:
        StanceError: there is no such table, or it is of another form.
    """
    known = ", ".join(sorted(file.stem for file in tables.glob("*.json"))) or "none"
    path = tables / f"{name}.json"
    if not name or set(name) & {"/", "\0"} or not path.is_file():
        raise StanceError(f"name={name}: no such corpus in {tables}; those there are {known}")
    value = jsonl.document(path, "expected url, home, licence, citation and files with their sums")
    try:
        listed = tuple(_listed(file, entry) for file, entry in sorted(value["files"].items()))
        url, home, licence, citation = (str(value[key]) for key in ("url", "home", "licence", "citation"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StanceError(
            f"{path}: expected url, home, licence, citation and files with their sums ({error})"
        ) from error
    for file in listed:
        _check_name(file.path, path)
        if not _SHA256.fullmatch(file.sha256):
            raise StanceError(f"{path}: {file.path}: expected a sha256 of 64 hexadecimal digits, found {file.sha256!r}")
    places = {PurePosixPath(file.path) for file in listed}
    if both := sorted(str(place) for place in places if not places.isdisjoint(place.parents)):
        raise StanceError(f"{path}: {both[0]!r} lies in what is a file too; give each file a place of its own")
    if len(places) < len(listed):
        raise StanceError(f"{path}: two names mean one file; name each once, without . and //")
    return Published(name, url, home, licence, citation, listed)


def _check_name(name: str, table: Path) -> None:
    """Refuse a name that is no file's, or that of a file elsewhere."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name:
        raise StanceError(f"{table}: {name!r} leads out of the corpus's directory")
    if not place.parts or "\0" in name:
        raise StanceError(f"{table}: {name!r} is no name of a file; expected one such as data/train.jsonl")


def _check_limits(limits: FetchLimits) -> None:
    for name in ("timeout", "max_megabytes"):
        value = getattr(limits, name)
        if not 0 < value < math.inf:
            raise StanceError(f"limits.{name}={value}: expected a number above 0")


def fetch(corpus: Published, root: Path, *, copy: Path | None, limits: FetchLimits) -> Path:
    """Write the files of a corpus to `root/NAME`; what was fetched before is replaced when all are there.

    Files that are there already with the right sum are kept and not fetched again. `copy` is a directory of the
    published files on this machine, which is read instead of the network.

    Raises:
        StanceError: a limit has no meaning, or a file is missing, too large, of another sum, or its server fails;
            nothing is written then.
    """
    _check_limits(limits)
    target = root / corpus.name
    if copy and not copy.is_dir():
        raise StanceError(f"path={copy}: no such directory; expected a local copy of {corpus.name}")
    with files.replace_directory(target, marker=MARKER) as folder, _session() as session:
        for file in tqdm(corpus.files, corpus.name, unit="file"):
            known = target / file.path
            if copy:
                chunks = _local(copy, file, limits)
            elif known.is_file() and files.sha256(known) == file.sha256:
                chunks = _local(target, file, limits)
            else:
                chunks = _remote(session, urljoin(corpus.url, quote(file.remote)), limits)
            _write(folder / file.path, file, chunks)
        _carry(target, folder, {MARKER, *(file.path for file in corpus.files)})
        origin = {"home": corpus.home, "url": corpus.url, "licence": corpus.licence, "files": len(corpus.files)}
        jsonl.write_json(folder / MARKER, origin | {"copied_from": str(copy or "")})
    return target


def _carry(target: Path, folder: Path, replaced: set[str]) -> None:
    """Copy what else lies in a corpus's directory, such as a part that has to be asked for, to its new one."""
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target)
        if (path.is_file() or path.is_symlink()) and name.as_posix() not in replaced:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / name, follow_symlinks=False)


def _listed(path: str, entry: Any) -> File:
    """An entry is a sum, or a sum and the name under which the file is published."""
    if isinstance(entry, str):
        return File(path, path, entry)
    return File(path, str(entry["remote"]), str(entry["sha256"]))


def _session() -> requests.Session:
    session = requests.Session()
    retry = Retry(3, redirect=False, status_forcelist=(429, 502, 503, 504), backoff_factor=0.3, raise_on_status=False)
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _local(folder: Path, file: File, limits: FetchLimits) -> Iterator[bytes]:
    """The bytes of a file in a copy that has our names or the published ones."""
    path = next((folder / name for name in (file.path, file.remote) if (folder / name).is_file()), None)
    if path is None:
        raise StanceError(f"{folder / file.path}: missing; expected the published files, whole")
    with path.open("rb") as lines:
        yield from _limited(iter(lambda: lines.read(_CHUNK), b""), str(path), limits)


def _remote(session: requests.Session, url: str, limits: FetchLimits) -> Iterator[bytes]:
    """The bytes at an address; each redirect is checked like the first address."""
    try:
        for _ in range(REDIRECTS + 1):
            _check_scheme(url, limits)
            with session.get(url, stream=True, timeout=limits.timeout, allow_redirects=False) as answer:
                if answer.is_redirect:
                    url = urljoin(url, answer.headers["location"])
                    continue
                if answer.status_code != requests.codes.ok:
                    raise StanceError(
                        f"{url}: the server answers {answer.status_code} {answer.reason}; nothing was kept"
                    )
                yield from _limited(answer.iter_content(_CHUNK), url, limits)
                return
    except requests.RequestException as error:
        inner = error.args[0] if error.args else error
        cause = str(getattr(inner, "reason", inner)).partition("): ")[2] or str(inner)
        raise StanceError(f"{url}: can't be fetched ({cause}); nothing was kept, try again or give path=") from error
    raise StanceError(f"{url}: more than {REDIRECTS} redirects; nothing was kept")


def _limited(chunks: Iterator[bytes], where: str, limits: FetchLimits) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limits.max_megabytes * 1e6:
            raise StanceError(f"{where}: over {limits.max_megabytes:g} MB, the limit (limits.max_megabytes)")
        yield chunk


def _write(path: Path, file: File, chunks: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as out:
        for chunk in chunks:
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != file.sha256:
        raise StanceError(
            f"{file.path}: sha256 {digest.hexdigest()[:12]}…, expected {file.sha256[:12]}…; "
            "the file is not the published one, nothing was kept"
        )


def _check_scheme(url: str, limits: FetchLimits) -> None:
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (limits.http and scheme == "http"):
        raise StanceError(f"{url}: only https addresses are fetched (limits.http=true takes http too)")
