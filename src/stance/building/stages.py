"""The first stage of a build: one corpus read, made into examples and sketched, kept on disk until its inputs change.

A stage is a directory: `rows.arrow` (examples), `articles.arrow`, `texts.arrow` (each text
once), `bands.npy` (their sketches), `dropped.jsonl`, `repairs.jsonl`, and `stage.json`, written last. Articles stream
through, so that memory does not grow with the corpus; a large one is worked on by one process a core.
"""

import glob
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from tqdm import tqdm

from stance import corpora, jsonl, mentions
from stance.building import duplicates, examples, workers
from stance.building.ledger import Made, Writer
from stance.errors import StanceError
from stance.files import replace_directory
from stance.records import Article
from stance.settings.building import CorpusConfig, ExamplesConfig

VERSION = 12
"""Of what a stage holds; another one is made anew."""
ALONE = 512
"""Articles that one process handles before others are started."""


@dataclass(frozen=True)
class Stage:
    """A finished stage: its folder and what its manifest says. `unusable` counts the rows that the reader lost.

    `unlabelled` is how many of its rows are questions without a label, `sampled` how many the builder drew as neutral.
    """

    folder: Path
    articles: int
    rows: int
    texts: int
    unlabelled: int
    sampled: int
    dropped: dict[str, int]
    repaired: int
    unusable: int

    def table(self, name: str) -> pa.Table:
        """A table of it, memory-mapped: only what is looked at is loaded."""
        with pa.memory_map(str(self.folder / f"{name}.arrow")) as source:
            return pa.ipc.open_file(source).read_all()

    def bands(self) -> duplicates.Hashes:
        """Sketches of the texts, shape `(texts, BANDS)`, memory-mapped."""
        return np.load(self.folder / "bands.npy", mmap_mode="r")  # type: ignore[no-any-return]


@contextmanager
def alone(folder: Path, *, of: Path) -> Iterator[None]:
    """Hold `folder`, where the work on the output `of` lies, for this process alone; it is made if need be.

    Raises:
        StanceError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise StanceError(
            f"{folder}: another process writes {of} at this moment; wait for it or choose another output"
        ) from error
    try:
        yield
    finally:
        lock.release()


def stage(source: CorpusConfig, config: ExamplesConfig, *, work: Path, processes: int = 0) -> Stage:
    """The stage of a corpus: the one below `work` if its inputs are the same, else a new one.

    Args:
        source: the corpus.
        config: how examples are made.
        work: the directory of stages.
        processes: at most so many; 0 takes one a core, eight at most.

    Raises:
        StanceError: the corpus can't be read, or more of it is dropped than `source.max_dropped`.
    """
    examples.check(config)
    folder = work / f"{source.name}-{_key(source, config)[:16]}"
    if (folder / "stage.json").is_file():
        print(f"{source.name}: unchanged, taken from {folder}")
    else:
        for left in _ours(work, f".{source.name}-", r"\..+"):  # by a build that was killed
            shutil.rmtree(left)
        with replace_directory(folder, marker="stage.json") as unfinished:
            _fill(unfinished, source, config, processes)
        for old in _ours(work, f"{source.name}-"):  # of other inputs
            if old != folder and (old / "stage.json").is_file():
                shutil.rmtree(old.replace(old.with_name(f".{old.name}.{secrets.token_hex(4)}")))
    facts = json.loads((folder / "stage.json").read_text("utf-8"))
    found = Stage(folder, **facts)
    _check_usable(found, source)
    return found


def _ours(work: Path, start: str, end: str = "") -> list[Path]:
    """The directories, no links, that are named as a stage: `start`, the 16 digits of a key and the pattern `end`."""
    name = re.compile(f"{re.escape(start)}[0-9a-f]{{16}}{end}")
    found = work.glob(f"{glob.escape(start)}*")
    return [path for path in found if name.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def files(source: CorpusConfig) -> list[Path]:
    """The files of a corpus in the order of their names; none where it is on a hub.

    Raises:
        StanceError: one is a pipe or a device: they can be read once, and a corpus is read twice.
    """
    path = Path(source.path)
    found = []
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            found.append(file)
        elif file.is_fifo() or file.is_char_device() or file.is_block_device():
            raise StanceError(
                f"corpora.KEY.path={source.path} of the corpus {source.name!r}: {file} is a pipe or a device, and a "
                "corpus is read twice; save it to a file"
            )
    return found


def _key(source: CorpusConfig, config: ExamplesConfig) -> str:
    """A digest of all that the rows depend on: settings, versions of what parses, and the content of every file."""
    official = source.splits if source.official else ""  # tables keep to the rows' splits then
    settled = replace(source, weight=1.0, cap=0, splits=official, licence="", label_set=[], max_dropped=1.0)
    parser = [f"{name} {metadata.version(name)}" for name in ("spacy", mentions.PIPELINE.replace("_", "-"), "stance")]
    facts = [VERSION, parser, asdict(settled), asdict(config)]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    path = Path(source.path)
    for file in files(source):
        if file.name != "splits.json":
            with file.open("rb") as content:
                name = os.fsencode(file.relative_to(path.parent))
                digest.update(name + hashlib.file_digest(content, "sha256").digest())
    if not path.exists():  # on a hub, say: nobody knows whether it is still the same
        digest.update(os.urandom(16))
    return digest.hexdigest()


def _fill(folder: Path, source: CorpusConfig, config: ExamplesConfig, processes: int) -> None:
    with Writer(folder) as writer:

        def sound() -> Iterator[Article]:
            for item in corpora.stream(source, mend=True):
                if isinstance(item, Article):
                    yield item
                else:
                    writer.remark(item)

        made = workers.spread(partial(_work, config=config, corpus=source.name), sound(), processes, alone=ALONE)
        for one in tqdm(made, f"{source.name}: examples", corpora.size(source), unit="article"):
            writer.add(one)
    jsonl.write_json(folder / "stage.json", writer.facts())


def _check_usable(found: Stage, source: CorpusConfig) -> None:
    file = found.folder / "dropped.jsonl"
    labelled = found.rows - found.unlabelled - found.sampled
    whole = (labelled or (found.articles if found.unlabelled else 0)) + found.unusable
    if found.unusable > source.max_dropped * whole:
        first = next(row for _, row in jsonl.read(file) if row["unusable"])
        raise StanceError(
            f"{source.path}: {found.unusable} of {whole} rows can't be used, first "
            f"{first['where']}: {first['reason']}; all of them are in {file}; mend them, or allow more "
            f"with max_dropped (now {source.max_dropped:g})"
        )
    bare = not labelled and found.dropped and not all(row["unusable"] for _, row in jsonl.read(file))
    if not found.rows or bare:  # raw articles have no labels to lose
        why = "; ".join(f"{n} × {reason}" for reason, n in list(found.dropped.items())[:3])
        raise StanceError(
            f"{source.path}: no row can be made of its {found.articles} articles ({why or 'no annotation'})"
        )


def _work(articles: Sequence[Article], config: ExamplesConfig, corpus: str) -> list[Made]:
    made = []
    for article, (rows, dropped) in zip(articles, examples.make(articles, config, corpus=corpus), strict=True):
        texts = list(dict.fromkeys([article.text, *(row.text for row in rows)]))
        made.append(Made(article, rows, dropped, texts, duplicates.sketches(texts, len(texts))))
    return made
