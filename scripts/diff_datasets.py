"""What differs between two datasets: `python scripts/diff_datasets.py A B`.

Rows are known by their ids. Exit code 0 when both have the same rows, 1 when they differ, 2 when one can't be read.
"""

import sys
from pathlib import Path

SCRIPTS = str(Path(__file__).resolve().parent)
sys.path[:] = [p for p in sys.path if p != SCRIPTS]  # evaluate.py would hide the package `evaluate`

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from stance import jsonl
from stance.building import versions
from stance.building.versions import Difference
from stance.errors import StanceError, printable, replace_unprintable
from stance.files import check_outside


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, write the report; returns the exit code."""
    replace_unprintable()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path, help="directory of a dataset")
    parser.add_argument("b", type=Path, help="directory of the other one, usually the newer one")
    parser.add_argument("--output", type=Path, help="write a JSON report with all ids")
    options = parser.parse_args(arguments)
    try:
        for folder in (options.a, options.b) if options.output else ():
            check_outside(options.output, folder)
        found = versions.compare(options.a, options.b)
        if options.output:
            jsonl.write_json(options.output, found.to_json())
    except (StanceError, OSError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    print(*map(printable, _lines(found)), sep="\n")
    return 0 if found.same else 1


def _lines(found: Difference) -> Iterator[str]:
    for letter, version in (("a", found.a), ("b", found.b)):
        yield f"{letter}  {version.path}: {version.name} (sha256 {version.sha256[:12]})"
    yield ""
    for split, label, *numbers in versions.table(found):
        yield f"{split:11} {label:8}" + "".join(f"{number:>10}" for number in numbers)
    yield ""
    yield from (f"{kind:11} {count:>8}" for kind, count in found.counts().items())
    for kind in ("relabelled", "moved", "changed"):
        if groups := sorted(getattr(found, kind).items()):
            yield f"{kind}: " + ", ".join(f"{what} {len(ids)}" for what, ids in groups)
    for letter, version in (("a", found.a), ("b", found.b)):
        if version.only_columns:
            yield f"columns of {letter} only, not compared: {', '.join(version.only_columns)}"
    if found.examples:
        yield from ("", "examples")
        yield from (line for example in found.examples for line in _example(example))
    if found.same:
        yield from ("", "the same rows" + ("" if found.a.sha256 == found.b.sha256 else ", in another order"))


def _example(example: dict[str, Any]) -> list[str]:
    """The row in both versions; of texts that differ, the place where they begin to, and of rows alike what is not."""
    rows = {letter: example[letter] for letter in "ab" if example[letter]}
    texts = {letter: " ".join(str(row["text"]).split()) for letter, row in rows.items()}
    lengths = [len(text) for text in texts.values()]
    unlike = (number for number, letters in enumerate(zip(*texts.values(), strict=False)) if len(set(letters)) > 1)
    start = max(next(unlike, min(lengths) if len(set(lengths)) > 1 else 0) - 40, 0)
    lines = {}
    for letter, row in rows.items():
        text = "…" * (start > 0) + texts[letter][start : start + 80]
        lines[letter] = f"{row['split']}, {row['stance']}: {row['actor']} → {row['target']}: {text}"
    if len(rows) == 2 and lines["a"] == lines["b"]:
        names = [name for name in rows["a"] if rows["a"][name] != rows["b"].get(name)]
        for letter, row in rows.items():
            lines[letter] += "".join(f"; {name} {row.get(name)}" for name in names if name != "text")
    return [f"  {example['kind']}: {example['id']}", *(f"    {letter}  {line}" for letter, line in lines.items())]


if __name__ == "__main__":
    sys.exit(main())
