"""Scores by the number of training articles."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from stance import studies, tracking
from stance.building import dataset
from stance.errors import StanceError
from stance.files import check_output
from stance.jobs.studies import CurveJob
from stance.network.inference import Logits
from stance.reporting import plots
from stance.reporting.show import columns
from stance.scoring import transfer
from stance.settings.scoring import TransferConfig
from stance.studies import curve
from stance.studies.curve import Point
from stance.tracking.runs import Run
from stance.training import ancestry, finetuning, resume
from stance.training.rehearsal import rehearse

PICTURES = (".png", ".pdf", ".svg")


def _outputs(job: CurveJob) -> tuple[Path, Path]:
    """The picture, and the file of what was scored, either of which may be written."""
    output = Path(job.output)
    if output.suffix not in PICTURES:
        raise StanceError(f"output={job.output}: expected the name of a picture, {', '.join(PICTURES)}")
    memory = output.with_suffix(".jsonl")
    for path in (output, memory):
        read = job.dataset, job.training.lexicon, job.model.name, job.transfer.root if job.public else ""
        check_output(path, *read)
        resume.check_apart(job.training, path)
    studies.Memory(memory)  # refuses what is none
    return output, memory


def run(job: CurveJob) -> Path:
    """Train on ever more articles over seeds, and plot what each model scores."""
    curve.check(job.curve)
    output, memory = _outputs(job)
    given, job = job.training, replace(job, training=finetuning.suit(job.model, job.training))
    rows, manifest = dataset.load(Path(job.dataset))
    rehearse(job.model, job.training, rows)
    curve.check_subsets(rows, job.training, job.curve)
    if manifest.sha256 in ancestry.datasets(ancestry.ancestors(job.training)):
        raise StanceError(
            "training.initial and training.teacher: one has learned from all articles of this dataset, so that every "
            "point would know them; leave it out"
        )
    others = transfer.load(job.transfer) if job.public else {}
    print(f"learning curve: {job.curve.articles} articles of {job.dataset}, seeds {job.curve.seeds} -> {output}")
    studies.say_unused(given, "curve.seeds")
    studies.say_unasked(job.transfer, public=job.public)
    recipe = curve.settled(rows, job.model, job.training, job.curve, others=others, memory=memory)
    job, score = replace(job, training=recipe), _score(others, job.transfer)
    whole = studies.seedless(asdict(job))
    with studies.noted(memory) as begin, tracking.run(job.tracking, stage="learning_curve", settings=whole) as active:
        tracking.give_up(begin(active.id))
        active.dataset(manifest, Path(job.dataset), "training")
        active.warn(ancestry.doubts(job.training, manifest.sha256) | studies.learned(rows["train"], others))
        points = curve.points(rows, job.model, job.training, job.curve, others=others, score=score, memory=memory)
        found = list[Point]()
        for point in points:
            found.append(point)
            _tell(found, active)
        print(columns(curve.table(found)))  # also if MLflow is away
        series = {name: [(p.articles, p.scores[name]) for p in found] for name in found[0].scores}
        figure = plots.learning_by_size(series)
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, dpi=120)
        active.figure(figure, output.name)
        active.file(memory)
    return output


def _score(others: studies.Sets, config: TransferConfig) -> curve.Score:
    """What makes the scores of a point of the answers on the public corpora."""

    def score(answers: Mapping[str, Logits]) -> dict[str, float]:
        found = transfer.score(answers, others, config)
        return {f"{t.name} {t.headline}": t.scores[t.headline].value for t in found}

    return score


def _tell(found: Sequence[Point], active: Run) -> None:
    """Print and keep the last point."""
    point = found[-1]
    shown = ", ".join(f"{name} {value:.3f}" for name, value in point.scores.items())
    print(f"{point.articles} articles, seed {point.seed}: {shown}")
    scores = {f"seed_{point.seed}_{name.replace(' ', '_')}": value for name, value in point.scores.items()}
    active.sink(scores, point.articles)
    for name, text in curve.alerts(found).items():  # which its training has printed
        active.alert(name, text)
