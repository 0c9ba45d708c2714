"""Two versions of a dataset side by side: rows added, removed, relabelled, moved between splits, changed otherwise.

A row is known by its `id`. The files are read in batches and only digests of the rows are kept, so that a million
rows fit. Columns that one version lacks are named and not compared.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stance import jsonl
from stance.building.dataset import NO_LABEL
from stance.errors import StanceError
from stance.records import LABELS

BATCH = 8192
EXAMPLES = 3
"""Rows of each kind of difference that are shown in full."""
EXAMPLE_CHARACTERS = 2000
"""Of the text of such a row."""
PARTS = {"text": ("text",), "names": ("actor", "target", "actor_span", "target_span")}
"""What a change is called, by the columns it touches; a change in any other column is called `other`."""
_SHOWN = ("actor", "target", "actor_span", "target_span", "text")


@dataclass(frozen=True)
class Version:
    """What a dataset directory says of itself, and its rows by split and label."""

    path: str
    name: str
    sha256: str
    rows: dict[str, dict[str, int]]
    only_columns: list[str]


@dataclass(frozen=True)
class Difference:
    """Ids of the rows that differ. A row that was moved may be relabelled too.

    `added` and `removed` are by split and label, `relabelled` and `moved` by `"before → after"`, `changed` by the
    part that changed: text, names, other. `examples` are some of them in full, as `{"kind", "id", "a", "b"}`.
    """

    a: Version
    b: Version
    unchanged: int
    added: dict[str, dict[str, list[str]]]
    removed: dict[str, dict[str, list[str]]]
    relabelled: dict[str, list[str]]
    moved: dict[str, list[str]]
    changed: dict[str, list[str]]
    examples: list[dict[str, Any]]

    @property
    def same(self) -> bool:
        """Whether both have the same rows in the same columns; their order does not matter."""
        columns = self.a.only_columns or self.b.only_columns
        return not (columns or self.added or self.removed or self.relabelled or self.moved or self.changed)

    def counts(self) -> dict[str, int]:
        """Rows of each kind."""
        nested = {kind: [ids for labels in getattr(self, kind).values() for ids in labels.values()]
                  for kind in ("added", "removed")}  # fmt: skip
        nested |= {kind: list(getattr(self, kind).values()) for kind in ("relabelled", "moved", "changed")}
        return {"unchanged": self.unchanged} | {kind: len(set().union(*lists)) for kind, lists in nested.items()}

    def to_json(self) -> dict[str, Any]:
        """The report, with all ids."""
        return asdict(self) | {"same": self.same, "counts": self.counts()}


@dataclass(frozen=True)
class _Rows:
    """The rows of a version: ids, and for each row codes of split and stance and a digest for each part."""

    ids: Any
    splits: list[str]
    stances: list[str]
    codes: npt.NDArray[np.int16]
    digests: npt.NDArray[np.uint64]

    def grouped(self, places: npt.NDArray[np.int64]) -> dict[str, dict[str, list[str]]]:
        """The ids at `places` by split and label."""
        found: dict[str, dict[str, list[str]]] = {}
        for place, name in zip(places, self.ids.take(pa.array(places)).to_pylist(), strict=True):
            split, stance = self.codes[place]
            found.setdefault(self.splits[split], {}).setdefault(self.stances[stance], []).append(name)
        return found

    def counts(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {split: {} for split in self.splits}
        pairs, counts = np.unique(self.codes, axis=0, return_counts=True)
        for (split, stance), count in zip(pairs, counts, strict=True):
            found[self.splits[split]][self.stances[stance]] = int(count)
        return found


def compare(a: Path, b: Path) -> Difference:
    """Compare two dataset directories.

    Raises:
        StanceError: one is no dataset, its files can't be read, or an id stands twice.
    """
    columns = [_columns(path) for path in (a, b)]
    shared = [name for name in columns[0] if name in columns[1]]
    named = {"id", "stance", *(c for part in PARTS.values() for c in part)}
    parts = [*PARTS.values(), [c for c in shared if c not in named]]
    before, after = (_read(path, [[c for c in part if c in shared] for part in parts]) for path in (a, b))
    place = pc.index_in(after.ids, value_set=before.ids).fill_null(-1).to_numpy(zero_copy_only=False)
    new = np.flatnonzero(place < 0)
    gone = np.setdiff1d(np.arange(len(before.ids)), place)
    there = np.flatnonzero(place >= 0)
    here = place[there]

    def pairs(column: int, names: str) -> dict[str, list[str]]:
        """Ids by `before → after` where the split (0) or the stance (1) differs."""
        first, second = getattr(before, names), getattr(after, names)
        x, y = before.codes[here, column], after.codes[there, column]
        unlike = np.array([[one != other for other in second] for one in first])
        differs = np.flatnonzero(unlike[x, y])
        found: dict[str, list[str]] = {}
        for number, name in zip(differs, after.ids.take(pa.array(there[differs])).to_pylist(), strict=True):
            found.setdefault(f"{first[x[number]]} → {second[y[number]]}", []).append(name)
        return found

    unlike = before.digests[here] != after.digests[there]
    changed = {kind: after.ids.take(pa.array(there[unlike[:, column]])).to_pylist()
               for column, kind in enumerate((*PARTS, "other")) if unlike[:, column].any()}  # fmt: skip
    relabelled, moved = pairs(1, "stances"), pairs(0, "splits")
    touched = set().union(*relabelled.values(), *moved.values(), *changed.values())
    found = Difference(
        _version(a, before, sorted(set(columns[0]) - set(columns[1]))),
        _version(b, after, sorted(set(columns[1]) - set(columns[0]))),
        len(there) - len(touched), after.grouped(new), before.grouped(gone), relabelled, moved, changed, [],
    )  # fmt: skip
    return replace(found, examples=_examples(found, a, b))


def table(found: Difference) -> list[list[str]]:
    """Rows for a reader: a header, then the pairs of each split and label in both versions."""
    rows = [["split", "label", "a", "b", "change"]]
    for split in dict.fromkeys([*found.a.rows, *found.b.rows]):
        first, second = found.a.rows.get(split, {}), found.b.rows.get(split, {})
        for label in dict.fromkeys([*LABELS, *first, *second]):
            x, y = first.get(label, 0), second.get(label, 0)
            rows.append([split, label, str(x), str(y), f"{y - x:+d}" if x != y else "="])
    return rows


def _version(path: Path, rows: _Rows, only: list[str]) -> Version:
    file = path / "manifest.json"
    manifest = jsonl.document(file, "build the dataset again")
    try:
        name, sha256 = str(manifest["name"]), str(manifest["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise StanceError(f"{file}: not a dataset manifest ({error!r}); build the dataset again") from error
    return Version(str(path), name, sha256, rows.counts(), only)


def _files(path: Path) -> dict[str, Path]:
    """The Parquet file of each split, in the usual order."""
    files = {file.stem: file for file in (path / "data").glob("*.parquet")}
    if not (path / "manifest.json").is_file() or not files:
        raise StanceError(f"{path}: no dataset (manifest.json and data/*.parquet); expected one of build_dataset.py")
    usual = [name for name in ("train", "validation", "test") if name in files]
    return {name: files[name] for name in [*usual, *sorted(set(files) - set(usual))]}


def _columns(path: Path) -> list[str]:
    """The columns that every split has."""
    found: list[list[str]] = []
    for file in _files(path).values():
        try:
            found.append(pq.read_schema(file).names)
        except (OSError, pa.ArrowException) as error:
            raise StanceError(f"{file}: not a readable Parquet file ({error}); build the dataset again") from error
        missing = {"id", "stance"} - set(found[-1])
        if missing:
            raise StanceError(f"{file}: no column {missing.pop()!r}; found {', '.join(found[-1])}")
    return [name for name in found[0] if all(name in names for names in found)]


def _batches(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, list[Any]]]]:
    """The split and the values of each batch of rows."""
    for split, file in _files(path).items():
        try:
            for batch in pq.ParquetFile(file).iter_batches(BATCH, columns=list(columns)):
                yield split, batch.to_pydict()
        except (OSError, pa.ArrowException) as error:
            raise StanceError(f"{file}: not a readable Parquet file ({error}); build the dataset again") from error


def _read(path: Path, parts: Sequence[Sequence[str]]) -> _Rows:
    splits, stances = list(_files(path)), list(LABELS)
    ids, codes, digests = [], [], []
    for split, rows in _batches(path, ["id", "stance", *(c for part in parts for c in part)]):
        names, number = [_label(value) for value in rows["stance"]], splits.index(split)
        stances += sorted(set(names) - set(stances))
        codes.append(np.array([(number, stances.index(name)) for name in names], np.int16))
        digests.append(np.array([_digests(rows, part, len(names)) for part in parts], np.uint64).T)
        if odd := [name for name in rows["id"] if not isinstance(name, str)]:
            found = "no id" if odd[0] is None else f"an id that is no text, {odd[0]!r}"
            raise StanceError(f"{path}: a row of the {split} split has {found}; build the dataset again")
        ids.append(pa.array(rows["id"], pa.large_string()))
    merged = pa.concat_arrays(ids) if ids else pa.array([], pa.large_string())
    counts = pc.value_counts(merged)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        name, count = twice[0]["values"].as_py(), twice[0]["counts"]
        raise StanceError(f"{path}: the id {name!r} stands {count} times, so rows can't be told apart; build it again")
    empty = np.zeros((0, 2), np.int16), np.zeros((0, len(parts)), np.uint64)
    return _Rows(merged, splits, stances, np.concatenate([empty[0], *codes]), np.concatenate([empty[1], *digests]))


def _label(value: Any) -> str:
    if value == NO_LABEL:
        return "no label"
    return LABELS[value] if type(value) is int and 0 <= value < len(LABELS) else str(value)


def _digests(rows: Mapping[str, list[Any]], part: Sequence[str], count: int) -> list[int]:
    """64 bits over the values of some columns of each row."""
    if not part:
        return [0] * count
    return [
        int.from_bytes(hashlib.blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        for values in zip(*(rows[name] for name in part), strict=True)
    ]


def _examples(found: Difference, a: Path, b: Path) -> list[dict[str, Any]]:
    """The first rows of each group of differences, as both versions have them."""
    wanted: list[tuple[str, str]] = []
    for kind in ("added", "removed"):
        for split, labels in getattr(found, kind).items():
            wanted += [(f"{kind}, {split}", ids[0]) for ids in labels.values()][:EXAMPLES]
    for kind in ("relabelled", "moved", "changed"):
        wanted += [(f"{kind}, {what}", name) for what, ids in getattr(found, kind).items() for name in ids[:EXAMPLES]]
    first, second = (_rows(path, {name for _, name in wanted}) for path in (a, b))
    return [{"kind": kind, "id": name, "a": first.get(name), "b": second.get(name)} for kind, name in wanted]


def _rows(path: Path, names: set[str]) -> dict[str, dict[str, Any]]:
    """Rows by id: split, stance, and what is shown of the rest."""
    found: dict[str, dict[str, Any]] = {}
    shown = [column for column in _SHOWN if column in _columns(path)]
    for split, rows in _batches(path, ["id", "stance", *shown]) if names else ():
        for number, name in enumerate(rows["id"]):
            if name in names:
                values = {column: rows[column][number] for column in shown}
                values |= {"text": str(values.get("text", ""))[:EXAMPLE_CHARACTERS]}
                found[name] = {"split": split, "stance": _label(rows["stance"][number]), **values}
        if len(found) == len(names):
            break
    return found
