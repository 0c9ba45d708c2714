"""The first stage of a build: one corpus read, made into examples and sketched, kept on disk until its inputs change.

A stage is a directory: `rows.arrow` (examples), `articles.arrow`, `texts.arrow` (each text
once), `bands.npy` (their sketches), `dropped.jsonl`, `repairs.jsonl`, and `stage.json`, written last. Articles stream
through, so that memory does not grow with the corpus; a large one is worked on by one process a core.
"""

import hashlib
import json
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from stance import corpora, duplicates, examples, jsonl
from stance.corpora.source import CorpusConfig, Dropped, Repair
from stance.duplicates import BANDS
from stance.errors import StanceError
from stance.examples import ExamplesConfig
from stance.files import replace_directory
from stance.records import Article, Example

VERSION = 1
"""Of what a stage holds; another one is made anew."""
ALONE = 512
"""Articles that one process handles before others are started."""
CHUNK = 128
_SPAN = pa.list_(pa.int32())
ROWS = pa.schema(
    [(name, pa.string()) for name in ("id", "text", "actor", "target", "stance", "article_id", "date", "provenance")]
    + [("actor_span", _SPAN), ("target_span", _SPAN), ("weight", pa.float64()), ("tags", pa.list_(pa.string()))]
    + [("soft", pa.list_(pa.float64())), ("article", pa.int32()), ("passage", pa.int32())]
)
ARTICLES = pa.schema(
    [*((name, pa.string()) for name in ("id", "date", "topic", "theme", "split", "where")), ("text", pa.int32())]
)
TEXTS = pa.schema([("text", pa.large_string())])


@dataclass(frozen=True)
class Stage:
    """A finished stage: its folder and what its manifest says."""

    folder: Path
    articles: int
    rows: int
    texts: int
    dropped: dict[str, int]
    repaired: int

    def table(self, name: str) -> pa.Table:
        """A table of it, memory-mapped: only what is looked at is loaded."""
        with pa.memory_map(str(self.folder / f"{name}.arrow")) as source:
            return pa.ipc.open_file(source).read_all()

    def bands(self) -> duplicates.Hashes:
        """Sketches of the texts, shape `(texts, BANDS)`, memory-mapped."""
        return np.load(self.folder / "bands.npy", mmap_mode="r")  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Made:
    """What a process makes of an article, without its text where the passages do not need it."""

    article: Article
    rows: list[Example]
    dropped: list[Dropped]
    texts: list[str]
    bands: duplicates.Hashes


def stage(source: CorpusConfig, config: ExamplesConfig, *, work: Path, processes: int = 0) -> Stage:
    """The stage of a corpus: the one below `work` if its inputs are the same, else a new one.

    Args:
        source: the corpus.
        config: how examples are made.
        work: the directory of stages.
        processes: at most so many; 0 takes one a core.

    Raises:
        StanceError: the corpus can't be read, or more of it is dropped than `source.max_dropped`.
    """
    examples.check(config)
    key = _key(source, config)
    folder = work / f"{source.name}-{key[:16]}"
    if (folder / "stage.json").is_file():
        print(f"{source.name}: unchanged, taken from {folder}")
    else:
        with replace_directory(folder, marker="stage.json") as partial:
            _fill(partial, source, config, processes or os.cpu_count() or 1, work)
            for old in work.glob(f"{source.name}-*"):  # of other inputs
                if (old / "stage.json").is_file() and len(old.name) == len(folder.name):
                    _remove(old)
    facts = json.loads((folder / "stage.json").read_text("utf-8"))
    return Stage(folder, **{name: facts[name] for name in ("articles", "rows", "texts", "dropped", "repaired")})


def _remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def _key(source: CorpusConfig, config: ExamplesConfig) -> str:
    """A digest of all that the rows depend on: settings, and the content of every file."""
    settled = replace(source, weight=1.0, cap=0, splits="", licence="", label_set=[])
    digest = hashlib.sha256(json.dumps([VERSION, asdict(settled), asdict(config)], sort_keys=True).encode())
    path = Path(source.path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files if path.exists() else []:
        with file.open("rb") as content:
            digest.update(str(file.relative_to(path.parent)).encode() + hashlib.file_digest(content, "sha256").digest())
    if not path.exists():  # on a hub, say: nobody knows whether it is still the same
        digest.update(os.urandom(16))
    return digest.hexdigest()


def _fill(folder: Path, source: CorpusConfig, config: ExamplesConfig, processes: int, work: Path) -> None:
    writer = _Writer(folder)
    lost: list[Dropped] = []
    unmade: list[Dropped] = []
    repaired: list[Repair] = []

    def sound() -> Iterator[Article]:
        for item in corpora.stream(source):
            if isinstance(item, Article):
                yield item
            elif isinstance(item, Dropped):
                lost.append(item)
            else:
                repaired.append(item)

    bar = tqdm(_made(sound(), config, source.name, processes), f"{source.name}: examples", corpora.size(source))
    bar.unit = "article"
    with writer:
        for made in bar:
            writer.add(made)
            unmade += made.dropped
    _check_dropped(source, lost, writer.rows, work)
    lost += unmade
    jsonl.write(folder / "dropped.jsonl", (asdict(item) for item in lost))
    jsonl.write(folder / "repairs.jsonl", (asdict(item) for item in repaired))
    facts = {"articles": writer.articles, "rows": writer.rows, "texts": len(writer.known), "repaired": len(repaired)}
    jsonl.write_json(folder / "stage.json", facts | {"dropped": dict(Counter(item.reason for item in lost))})


def _check_dropped(source: CorpusConfig, lost: Sequence[Dropped], rows: int, work: Path) -> None:
    if not rows or len(lost) > source.max_dropped * (rows + len(lost)):
        file = work / f"{source.name}.dropped.jsonl"
        jsonl.write(file, (asdict(item) for item in lost))
        first = f", first {lost[0].where}: {lost[0].reason}" if lost else ""
        raise StanceError(
            f"{source.path}: {len(lost)} of {rows + len(lost)} rows can't be used{first}; all of them are in {file}; "
            f"mend them, or allow more with max_dropped (now {source.max_dropped:g})"
        )


def _made(articles: Iterator[Article], config: ExamplesConfig, corpus: str, processes: int) -> Iterator[_Made]:
    """What becomes of each article, in order; more processes join in when there are many."""
    yield from chain.from_iterable(
        _work(chunk, config, corpus) for chunk in examples.batched(islice(articles, ALONE), CHUNK)
    )
    chunks = examples.batched(articles, CHUNK)
    if processes == 1:
        yield from chain.from_iterable(_work(chunk, config, corpus) for chunk in chunks)
    elif first := next(chunks, None):
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            waiting: deque[Future[list[_Made]]] = deque()
            for chunk in chain([first], chunks):  # a few ahead, so that memory stays bounded
                waiting.append(pool.submit(_work, chunk, config, corpus))
                if len(waiting) > 2 * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()


def _work(articles: Sequence[Article], config: ExamplesConfig, corpus: str) -> list[_Made]:
    made = []
    for article, (rows, dropped) in zip(articles, examples.make(articles, config, corpus=corpus), strict=True):
        texts = list(dict.fromkeys([article.text, *(row.text for row in rows)]))
        made.append(_Made(article, rows, dropped, texts, duplicates.sketches(texts, len(texts))))
    return made


class _Writer:
    """Appends to the tables of a stage; a text that stands twice is kept once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.articles = self.rows = 0
        self.known: dict[bytes, int] = {}
        self.bands = (folder / "bands.raw").open("wb")
        self.files = {
            name: pa.ipc.new_file(str(folder / f"{name}.arrow"), schema)
            for name, schema in (("rows", ROWS), ("articles", ARTICLES), ("texts", TEXTS))
        }
        self.waiting: dict[str, list[dict[str, Any]]] = {name: [] for name in self.files}

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        for name, file in self.files.items():
            self._flush(name)
            file.close()
        self.bands.close()
        raw = self.folder / "bands.raw"
        bands = np.memmap(raw, np.uint64, "r", shape=(len(self.known), BANDS)) if self.known else np.empty((0, BANDS))
        np.save(self.folder / "bands.npy", bands)
        raw.unlink()

    def add(self, made: _Made) -> None:
        places = {text: self._text(text, bands) for text, bands in zip(made.texts, made.bands, strict=True)}
        article = {name: getattr(made.article, name) for name in ARTICLES.names if name != "text"}
        self._put("articles", article | {"text": places[made.article.text]})
        for row in made.rows:
            known = {name: value for name, value in row.to_json().items() if name in ROWS.names}
            self._put("rows", known | {"article": self.articles, "passage": places[row.text]})
        self.articles += 1
        self.rows += len(made.rows)

    def _text(self, text: str, bands: duplicates.Hashes) -> int:
        key = hashlib.blake2b(text.encode(), digest_size=12).digest()
        if key not in self.known:
            self.known[key] = len(self.known)
            self._put("texts", {"text": text})
            self.bands.write(bands.tobytes())
        return self.known[key]

    def _put(self, name: str, row: dict[str, Any]) -> None:
        self.waiting[name].append(row)
        if len(self.waiting[name]) >= 4096:
            self._flush(name)

    def _flush(self, name: str) -> None:
        schema = {"rows": ROWS, "articles": ARTICLES, "texts": TEXTS}[name]
        self.files[name].write_table(pa.Table.from_pylist(self.waiting[name], schema))
        self.waiting[name] = []
