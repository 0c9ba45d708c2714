"""Ways to train, compared over seeds."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from stance import tracking
from stance.building import dataset
from stance.building.dataset import Manifest
from stance.config import override
from stance.errors import StanceError
from stance.files import check_output
from stance.jobs.studies import BakeoffJob
from stance.records import Example
from stance.reporting.show import columns
from stance.scoring import transfer
from stance.studies import Memory, Sets, bakeoff, learned, noted, say_unasked, say_unused, seedless, told
from stance.studies.space import Settings, overruled
from stance.tracking.runs import Run
from stance.training import ancestry, finetuning, recipe, resume
from stance.training.rehearsal import rehearse

Datasets = dict[str, tuple[dict[str, list[Example]], Manifest]]
"""What was read, by its directory."""


def contenders(job: BakeoffJob) -> Iterator[bakeoff.Contender]:
    """What the job compares, each with its dataset, which is read once."""
    read: Datasets = {}
    for name, changes in job.bakeoff.contenders.items():
        try:
            yield _contender(job, name, changes, read)
        except StanceError as error:
            raise StanceError(f"bakeoff.contenders.{name}: {error}") from error


def _contender(job: BakeoffJob, name: str, changes: Sequence[str], read: Datasets) -> bakeoff.Contender:
    """A contender whose settings are checked: no other should be trained for hours before they are refused."""
    own = job
    for change in changes:
        key = change.partition("=")[0]
        known = re.fullmatch(r"dataset|(model|training)(\.\w+)+", key) and key != "training.seed"
        if not known or "=" not in change:
            raise StanceError(
                f"{change!r}: expected dataset=…, model.KEY=… or training.KEY=…, and no training.seed, since all train "
                "with each of bakeoff.seeds"
            )
        try:
            own = override(own, [change])
        except StanceError as error:
            raise StanceError(f"{change!r}: {error}") from error
    check_output(Path(job.output), own.dataset, own.training.lexicon, own.model.name)
    resume.check_apart(own.training, Path(job.output))
    if own.dataset not in read:
        read[own.dataset] = dataset.load(Path(own.dataset))
    rows, manifest = read[own.dataset]
    for change in changes:
        if lacking := recipe.idle(change.partition("=")[0].removeprefix("training."), own.training):
            raise StanceError(f"{change!r}: has no effect without {lacking}; set that too, or leave this out")
    found = bakeoff.Contender(name, manifest.sha256, rows, own.model, finetuning.suit(own.model, own.training))
    rehearse(found.model, found.training, rows)
    return found


def _doubts(compared: Sequence[bakeoff.Contender], public: Sets) -> dict[str, str]:
    """What each contender or its ancestors may know of what is scored, joined by alert."""
    datasets = {c.dataset: c.splits["train"] for c in compared}
    known = {dataset: learned(rows, public) for dataset, rows in datasets.items()}
    return told((c.name, ancestry.doubts(c.training, c.dataset) | known[c.dataset]) for c in compared)


def _say_unused(job: BakeoffJob, compared: Sequence[bakeoff.Contender]) -> None:
    """Say which given settings no contender has a use for, and which contenders there is nothing to compare of."""
    say_unused(job.training, "bakeoff.seeds", among=[contender.training for contender in compared])
    say_unasked(job.transfer, public=job.public)
    own = [{change.partition("=")[0] for change in changes} for changes in job.bakeoff.contenders.values()]
    everywhere = sorted(set.intersection(*own) - {"dataset"})  # whose own validation rows all are scored on
    for key, value in overruled(Settings(job.model, job.training), everywhere).items():
        print(f"{key}={value} is not used: every contender sets it")
    for names in bakeoff.equals(compared):
        print(f"bakeoff.contenders: {' and '.join(names)} are the same and share their trainings; leave one out")


def run(job: BakeoffJob) -> Path:
    """Train every contender with every seed, score all on the same development sets and print the table."""
    bakeoff.check(job.bakeoff)
    memory = Path(job.output)
    check_output(memory, job.dataset, job.transfer.root if job.public else "")
    rows, manifest = dataset.load(Path(job.dataset))
    public = transfer.load(job.transfer) if job.public else {}
    sets = bakeoff.own(rows["validation"]) | public
    bakeoff.check_names(job.bakeoff.contenders, sets)
    compared = list(contenders(job))
    Memory(memory)  # refuses what is none
    for contender in (c for c in compared if c.dataset != manifest.sha256):
        bakeoff.check_unseen(contender, rows["validation"])
    print(f"bake-off: {', '.join(job.bakeoff.contenders)}, seeds {job.bakeoff.seeds} -> {memory}")
    compared = bakeoff.settled(compared, job.bakeoff.seeds, sets=sets, memory=memory)
    _say_unused(job, compared)
    settings = seedless(asdict(job))
    with noted(memory) as begin, tracking.run(job.tracking, stage="bakeoff", settings=settings) as active:
        tracking.give_up(begin(active.id))
        active.dataset(manifest, Path(job.dataset), "validation")
        recipes = {
            c.name: seedless({"dataset": c.dataset, "model": asdict(c.model), "training": asdict(c.training)})
            for c in compared
        }
        active.document(recipes, "contenders.json")
        active.warn(_doubts(compared, public))
        _compare(bakeoff.outcomes(compared, job.bakeoff.seeds, sets=sets, memory=memory), active, memory)
    return memory


def _compare(outcomes: Iterable[bakeoff.Outcome | bakeoff.Failure], active: Run, memory: Path) -> None:
    """Print and keep what comes, then the table of it.

    Raises:
        StanceError: trainings failed; the others are kept.
    """
    found, failed = list[bakeoff.Outcome](), list[str]()
    for outcome in outcomes:
        which = f"{outcome.name}, seed {outcome.seed}: "
        if isinstance(outcome, bakeoff.Failure):
            failed.append(f"bakeoff.contenders.{which}{outcome.reason}")
            print(f"{which}failed: {outcome.reason}")
            continue
        found.append(outcome)
        print(which + ", ".join(f"{k} {v:.3f}" for k, v in outcome.scores.items()))
        active.sink({bakeoff.metric(outcome.name, f"{k}.seed_{outcome.seed}"): v for k, v in outcome.scores.items()}, 0)
        for name, text in bakeoff.alerts(found).items():  # which the training itself has printed
            active.alert(name, text)
    if found:
        table = bakeoff.table(found)
        print(columns(table))  # also if MLflow is away
        active.sink(bakeoff.metrics(found), 0)
        active.table([dict(zip(table[0], row, strict=True)) for row in table[1:]], "bakeoff.json")
        active.file(memory)
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise StanceError(f"{failed[0]}{more}; the other trainings are kept in {memory}: change it or leave it out")
