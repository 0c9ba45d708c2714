"""The files of a stage while they are written: rows, articles, texts with sketches, what was dropped or mended.

Everything is appended as it comes, so that memory does not grow with the corpus but for a short hash of each text.
"""

import hashlib
import re
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stance import jsonl
from stance.building import duplicates
from stance.building.duplicates import BANDS
from stance.corpora.source import Dropped, Repair
from stance.files import replacing
from stance.records import UNLABELLED, Article, Example

_DETAIL = re.compile(r"""'[^']*'|"[^"]*"|\S*:\d+|\d[\d,.]*""")
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
SCHEMAS = {"rows": ROWS, "articles": ARTICLES, "texts": TEXTS}


@dataclass(frozen=True)
class Made:
    """What a process makes of an article, without its text where the passages do not need it."""

    article: Article
    rows: list[Example]
    dropped: list[Dropped]
    texts: list[str]
    bands: duplicates.Hashes


def kind(reason: str) -> str:
    """A reason without what differs from row to row: names, places and numbers."""
    return _DETAIL.sub("…", reason)


class Writer:
    """Appends to the files of a stage; a text that stands twice is kept once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.articles = self.rows = self.unlabelled = self.sampled = self.unusable = self.repaired = 0
        self.dropped: Counter[str] = Counter()
        self.known: dict[bytes, int] = {}
        self.open = ExitStack()

    def __enter__(self) -> "Writer":
        self.bands = self.open.enter_context((self.folder / "bands.raw").open("wb"))
        self.remarks = {
            kind: self.open.enter_context(replacing(self.folder / f"{name}.jsonl"))
            for kind, name in ((Dropped, "dropped"), (Repair, "repairs"))
        }
        self.files = {
            name: self.open.enter_context(pa.ipc.new_file(str(self.folder / f"{name}.arrow"), schema))
            for name, schema in SCHEMAS.items()
        }
        self.waiting: dict[str, list[dict[str, Any]]] = {name: [] for name in self.files}
        self.characters = 0
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                for name in self.files:
                    self._flush(name)
        finally:
            self.open.__exit__(*error)
        if error[0] is None:
            self._save_bands()

    def _save_bands(self) -> None:
        raw = self.folder / "bands.raw"
        bands = np.memmap(raw, np.uint64, "r", shape=(len(self.known), BANDS)) if self.known else np.empty((0, BANDS))
        np.save(self.folder / "bands.npy", bands)
        raw.unlink()

    def facts(self) -> dict[str, Any]:
        """What the stage's manifest says."""
        counts = {"articles": self.articles, "rows": self.rows, "texts": len(self.known), "unusable": self.unusable}
        counts |= {"unlabelled": self.unlabelled, "sampled": self.sampled, "repaired": self.repaired}
        return counts | {"dropped": dict(self.dropped)}

    def remark(self, item: Dropped | Repair) -> None:
        """Keep what was dropped or mended."""
        self.remarks[type(item)].write(jsonl.dumps(asdict(item)) + "\n")
        if isinstance(item, Dropped):
            self.dropped[kind(item.reason)] += 1
            self.unusable += item.unusable
        else:
            self.repaired += 1

    def add(self, made: Made) -> None:
        places = {text: self._text(text, bands) for text, bands in zip(made.texts, made.bands, strict=True)}
        article = {name: getattr(made.article, name) for name in ARTICLES.names if name != "text"}
        self._put("articles", article | {"text": places[made.article.text]})
        for row in made.rows:
            known = {name: value for name, value in row.to_json().items() if name in ROWS.names}
            self._put("rows", known | {"article": self.articles, "passage": places[row.text]})
        for item in made.dropped:
            self.remark(item)
        self.articles += 1
        self.rows += len(made.rows)
        self.unlabelled += sum(row.provenance == UNLABELLED for row in made.rows)
        self.sampled += sum(row.provenance == "sampled" for row in made.rows)

    def _text(self, text: str, bands: duplicates.Hashes) -> int:
        key = hashlib.blake2b(text.encode(), digest_size=12).digest()
        if key not in self.known:
            self.known[key] = len(self.known)
            self._put("texts", {"text": text})
            self.bands.write(bands.tobytes())
        return self.known[key]

    def _put(self, name: str, row: dict[str, Any]) -> None:
        self.waiting[name].append(row)
        self.characters += len(row.get("text", "")) if name != "articles" else 0
        if len(self.waiting[name]) >= 4096 or self.characters > 8_000_000:
            for one in self.files:
                self._flush(one)
            self.characters = 0

    def _flush(self, name: str) -> None:
        self.files[name].write_table(pa.Table.from_pylist(self.waiting[name], SCHEMAS[name]))
        self.waiting[name] = []
