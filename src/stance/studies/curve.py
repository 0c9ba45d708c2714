"""Learning curve: what models learn from ever more articles, to see whether a larger corpus would still help."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path

from stance import jsonl, studies
from stance.building.splits import shuffled
from stance.errors import MachineError, StanceError
from stance.network.inference import Logits
from stance.records import UNLABELLED, Example
from stance.scoring.scores import ALL, choices
from stance.settings.studies import CurveConfig
from stance.settings.training import ModelConfig, TrainingConfig
from stance.studies import ALTERED, Memory, precision
from stance.training.recipe import MAX_SEED
from stance.training.recipe import check as check_recipe

LEARNED = ("train", UNLABELLED)
Score = Callable[[Mapping[str, Logits]], Mapping[str, float]]


@dataclass(frozen=True)
class Point:
    """One trained model: its number of articles and pairs, its seed and its scores.

    `alerts` is what its training warned of, by name; empty in what was kept before they were.
    """

    articles: int
    pairs: int
    seed: int
    scores: dict[str, float]
    alerts: dict[str, str] = field(default_factory=dict)


def check(config: CurveConfig) -> None:
    """Refuse numbers without a meaning."""
    if not config.articles or min(config.articles) < 1 or not studies.are_seeds(config.seeds):
        raise StanceError(
            "curve.articles must be numbers from 1, curve.seeds different numbers from 0 to "
            f"{MAX_SEED}, at least one of each"
        )


def check_subsets(splits: Mapping[str, Sequence[Example]], recipe: TrainingConfig, config: CurveConfig) -> None:
    """Refuse, before the first training, a point whose articles lack a label."""
    for seed, number, learned in _subsets(splits, config):
        try:
            check_recipe(replace(recipe, seed=seed), {**splits, **learned})
        except StanceError as error:
            raise StanceError(f"curve.articles={number} with seed {seed}, too few perhaps: {error}") from error


def _subsets(
    splits: Mapping[str, Sequence[Example]], config: CurveConfig
) -> Iterator[tuple[int, int, dict[str, list[Example]]]]:
    """Seed, number of articles, and what is learned of them, for every point."""
    for seed in config.seeds:
        order = shuffled({example.article_id for example in splits["train"]}, seed)
        for number in sorted({min(n, len(order)) for n in config.articles}):
            chosen = set(order[:number])
            learned = {name: [e for e in splits[name] if e.article_id in chosen] for name in LEARNED if name in splits}
            yield seed, number, learned


def points(
    splits: Mapping[str, Sequence[Example]],
    models: ModelConfig,
    recipe: TrainingConfig,
    config: CurveConfig,
    *,
    others: Mapping[str, Sequence[Example]],
    score: Score,
    memory: Path,
) -> Iterator[Point]:
    """Train one model a number of articles and seed; the epoch is chosen on validation, as in any training.

    Args:
        splits: the dataset; every model is scored on all of `validation`. Of `unlabelled` the questions about a
            point's own articles are learned from, so none about articles without a label.
        models: the encoder.
        recipe: of each training, but for its seed.
        config: the points.
        others: more sets that each model answers.
        score: from the answers on `others` to scores.
        memory: JSON Lines of finished points; a run that was cut off goes on after them.
    """
    done, key_of = Memory(memory), _keys(splits, models, recipe, others)
    for seed, number, learned in _subsets(splits, config):
        key = key_of(seed, learned)
        if key not in done.known:
            try:
                scores, alerts = _train({**splits, **learned}, models, replace(recipe, seed=seed), others, score)
            except MachineError as error:  # another time it may do
                raise MachineError(f"curve.articles={number}, seed {seed}: {error}") from error
            except StanceError as error:
                raise StanceError(
                    f"curve.articles={number}, seed {seed}: {error}; the other points are kept in {memory}: change it "
                    "or leave this number out"
                ) from error
            done.keep(key, asdict(Point(number, len(learned["train"]), seed, scores, alerts)))
        yield Point(**done.known[key])


def settled(
    splits: Mapping[str, Sequence[Example]],
    models: ModelConfig,
    recipe: TrainingConfig,
    config: CurveConfig,
    *,
    others: Mapping[str, Sequence[Example]],
    memory: Path,
) -> TrainingConfig:
    """The recipe with one precision for `training.precision=auto`: that of the points which are known already.

    Args:
        splits, models, recipe, config, others, memory: see `points`.
    """
    done = Memory(memory).known

    def known(kind: str) -> int:
        key_of = _keys(splits, models, replace(recipe, precision=kind), others)
        return sum(key_of(seed, learned) in done for seed, _, learned in _subsets(splits, config))

    if recipe.precision != "auto":
        return recipe
    return replace(recipe, precision=precision.settled(lambda kind: known(kind) if done else 0, str(memory)))


def _train(
    splits: Mapping[str, Sequence[Example]],
    models: ModelConfig,
    recipe: TrainingConfig,
    others: Mapping[str, Sequence[Example]],
    score: Score,
) -> tuple[dict[str, float], dict[str, str]]:
    result, answers = studies.train_and_predict(splits, models, recipe, others)
    return {"validation_macro_f1": result.scores["macro_f1"], **score(answers)}, result.alerts


def _keys(
    splits: Mapping[str, Sequence[Example]],
    models: ModelConfig,
    recipe: TrainingConfig,
    others: Mapping[str, Sequence[Example]],
) -> Callable[[int, Mapping[str, Sequence[Example]]], str]:
    """What makes, of a seed and of what is learned, the key of a point: a digest of all that it depends on."""
    known, asked = studies.recipe_digest(models, recipe, ""), studies.contents(others)
    altered = [] if choices(splits["validation"]) == ALL else [ALTERED]

    def key(seed: int, learned: Mapping[str, Sequence[Example]]) -> str:
        rows = [example.to_json() for example in chain(*learned.values(), splits["validation"])]
        settings = [known, seed, asked, *altered]
        return hashlib.sha256(jsonl.dumps({"settings": settings, "rows": rows}).encode()).hexdigest()

    return key


def alerts(found: Iterable[Point]) -> dict[str, str]:
    """What the trainings warned of, joined by alert."""
    return studies.told((f"{p.articles} articles, seed {p.seed}", p.alerts) for p in found)


def table(found: Sequence[Point]) -> list[list[str]]:
    """Rows for a reader: mean and range over the seeds for each number of articles."""
    names = list(found[0].scores)
    rows = [["articles", "pairs", "seeds", *names]]
    for number in sorted({point.articles for point in found}):
        here = [point for point in found if point.articles == number]
        pairs = sum(point.pairs for point in here) / len(here)
        rows.append(
            [str(number), f"{pairs:.0f}", str(len(here)), *(_spread([p.scores[n] for p in here]) for n in names)]
        )
    return rows


def _spread(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.3f} ({min(values):.3f}–{max(values):.3f})"
