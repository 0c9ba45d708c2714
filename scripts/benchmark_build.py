"""How building scales: datasets of 10,000, 100,000 and 1,000,000 rows, their time and memory.

`python scripts/benchmark_build.py [--rows 10000 100000 1000000] [--source data/public/dse]`: the rows are sentences of
a real corpus, repeated with changed words; one in ten is a near duplicate of another. Each size is built by a process
of its own, and the table goes to the terminal and, with --write, to docs/BENCHMARKS.md.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stance import corpora, jsonl
from stance.errors import StanceError
from stance.files import check_output, write_text
from stance.forms import article_to_json
from stance.records import Annotation, Article, Mention
from stance.settings.building import CorpusConfig

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "BENCHMARKS.md"
DSE = ROOT / "data" / "public" / "dse"
START, END = "<!-- building: begin -->", "<!-- building: end -->"


def sentences(source: Path | None) -> list[Article]:
    """Real sentences with two names each; the project's own corpus, evidence by evidence, where DSE is not there."""
    if source or DSE.is_dir():
        return corpora.sound(CorpusConfig(format="dse", path=str(source or DSE)))
    found = []
    for article in corpora.read(ROOT / "data" / "corpus"):
        for number, note in enumerate(article.annotations):
            start, end = note.evidence[0]
            text = article.text[start:end]
            bare = Annotation(Mention(note.actor.name), Mention(note.target.name), note.stance, ((0, len(text)),))
            found.append(Article(id=f"{article.id}-{number}", text=text, annotations=(bare,)))
    return found


def changed(article: Article, copy: int, words: list[str]) -> dict[str, Any]:
    """A copy with other words, names looked up anew; one in ten changes little."""
    draw = random.Random(f"{article.id}:{copy}")  # noqa: S311
    share = 0.03 if copy % 10 == 9 else 0.3
    text = " ".join(draw.choice(words) if draw.random() < share else word for word in article.text.split())
    notes = [
        {"actor": {"name": n.actor.name}, "target": {"name": n.target.name}, "stance": n.stance.value,
         "evidence": [[0, len(text)]]}
        for n in article.annotations
    ]  # fmt: skip
    return {"id": f"{article.id}-{copy}", "text": text, "annotations": notes}


def rows(source: Path | None, wanted: int) -> Iterator[dict[str, Any]]:
    """Articles with `wanted` annotations or a few more."""
    base = sentences(source)
    random.Random(1).shuffle(base)  # noqa: S311
    words = sorted({word for article in base for word in article.text.split() if word.isalpha()})
    count = copy = 0
    while True:
        for article in base:
            yield changed(article, copy, words) if copy else article_to_json(article)
            count += len(article.annotations)
            if count >= wanted:
                return
        copy += 1


def build(options: argparse.Namespace) -> str:
    """In a process of its own: build; seconds and the largest resident memory of it and its workers as JSON."""
    from stance.building import build
    from stance.settings.building import ExamplesConfig, LeaksConfig, SplitConfig

    start = time.perf_counter()
    source = CorpusConfig(name="made", path=str(options.build), splits="none")
    manifest = build.build(
        [source], ExamplesConfig(context=0, neutral_ratio=0), SplitConfig(), LeaksConfig(), output=options.output
    )
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    facts = {"seconds": time.perf_counter() - start, "own": kib[0] / 1024, "worker": kib[1] / 1024}
    return json.dumps(facts | {"rows": sum(manifest.rows.values()), "dropped": sum(manifest.dropped.values())})


def measure(source: Path | None, wanted: int) -> dict[str, float]:
    """Time and memory of one size."""
    with tempfile.TemporaryDirectory(prefix="stance-build-") as folder:
        path = Path(folder) / "rows.jsonl"
        jsonl.write(path, rows(source, wanted))
        command = [sys.executable, __file__, "--build", str(path), "--output", str(Path(folder) / "dataset")]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
        if done.returncode:
            raise StanceError(f"--rows {wanted}: the dataset was not built, see above")
        size = path.stat().st_size / 1e6
    return json.loads(done.stdout.splitlines()[-1]) | {"megabytes": size, "wanted": wanted}  # type: ignore[no-any-return]


def table(found: list[dict[str, float]]) -> str:
    """Markdown: time, rate and memory of each size."""
    lines = ["| rows in | file, MB | rows out | seconds | rows a second | peak MB, main process | peak MB, a worker |"]
    lines.append("|--:|--:|--:|--:|--:|--:|--:|")
    lines += [
        f"| {f['wanted']:,.0f} | {f['megabytes']:,.0f} | {f['rows']:,.0f} | {f['seconds']:.0f} | "
        f"{f['wanted'] / f['seconds']:,.0f} | {f['own']:,.0f} | {f['worker']:,.0f} |"
        for f in found
    ]
    return "\n".join(lines)


def run(options: argparse.Namespace) -> str:
    """Measure each size; the table, which is written too where that is asked for."""
    if options.write:
        check_output(DOCUMENT)
    text = table([measure(options.source, wanted) for wanted in options.rows])
    if options.write:
        document = DOCUMENT.read_text("utf-8")
        before, _, rest = document.partition(START)
        write_text(DOCUMENT, f"{before}{START}\n{text}\n{END}{rest.partition(END)[2]}")
    return text


def main() -> int:
    """Measure and print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--source", type=Path, help="a folder of DSE; by default that in data/public, else our corpus")
    parser.add_argument("--write", action="store_true", help="also replace the table in docs/BENCHMARKS.md")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if min(options.rows) < 1:
        parser.error("--rows: expected 1 or more")
    try:
        print(build(options) if options.build else run(options))
    except StanceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
