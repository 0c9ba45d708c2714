"""Distillation: checkpoints that answer the training questions, and more questions that nobody annotated.

The latter are pairs of names of a labelled passage (`training.teacher_questions`), or of sentences that have no label
(`examples.unlabelled`).

What the teachers say becomes the wanted answer of an example (`Example.soft`), so that the loss needs to know
nothing of teachers (Hinton et al., 2015, at temperature 1). Several teachers answer with their mean probabilities.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from tqdm import tqdm

from stance import artifact, jsonl
from stance.errors import MachineError, StanceError
from stance.files import sha256, write_bytes
from stance.network import inference, model
from stance.network.memory import free
from stance.network.precision import choose_precision
from stance.records import LABELS, MASKED, SOMEONE, UNLABELLED, Example, Pair, Span, Stance, folded
from stance.scoring.calibration import softmax
from stance.scoring.scores import known, only_known
from stance.settings.training import TrainingConfig
from stance.training import failures
from stance.training.recipe import teachers

Shares = npt.NDArray[np.float64]
PROVENANCE = "distilled"
OPEN = (PROVENANCE, UNLABELLED)
"""Where an example comes from that only a teacher answers."""
FILES = ("model.safetensors", "checkpoint.json", "config.json", "tokenizer.json")
"""What decides a checkpoint's answers."""
ANSWERING = 4
"""Raised when the code makes other answers of the same weights and questions (how names are looked up, or encoded):
then what is kept is asked anew."""
PART = 1024
"""Questions that are answered and kept together: a stopped run loses the answers to no more."""


def teach(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """The examples with the teachers' answers mixed into theirs.

    Teachers are asked about examples as the dataset has them: with all that is known of the names and their places,
    whatever a training makes of them afterwards (`stance.augmentation.augment`), and the same for every seed, so that
    further trainings take the answers from `teacher_cache`. Without `training.teacher` examples are returned as they
    are; so are those of a corpus that no teacher answers for.

    Raises:
        StanceError: a teacher is no checkpoint of ours.
    """
    return _with_answers(examples, config) if config.teacher else list(examples)


def answer(unlabelled: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """Questions without a label with the teachers' answers, those that none answers left out, with a line about these.

    They are the dataset's own (`examples.unlabelled`) or those of `further`, and asked as they are.

    Raises:
        StanceError: a teacher is no checkpoint of ours.
    """
    found = _with_answers(unlabelled, config) if config.teacher and unlabelled else []
    say_unanswered(len(unlabelled) - len(found))
    return found


def say_unanswered(number: int) -> None:
    """A line about questions without a label that nobody answers, if there are any."""
    if number:
        print(f"{number:,} questions without a label are left out: training.teacher names none to answer them")


def further(examples: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """Pairs of names of one passage that no example asks about, at most `teacher_questions` for each example.

    Their label is a placeholder until a teacher has answered, with one of the labels that all its teachers know. The
    actors are names that act somewhere in the corpus, the targets those that are printed or targets somewhere; the
    other direction of a pair is among them. None are of a corpus that no teacher answers for. They are the same for
    every seed, and so are their answers.
    """
    if not config.teacher_questions:
        return []
    passages: dict[tuple[str, str], list[Example]] = {}
    for example, taught in zip(examples, heard(examples, config), strict=True):
        if taught:
            passages.setdefault((example.article_id, example.text), []).append(example)
    names, random = _roles(examples), np.random.default_rng(0)
    found: list[Example] = []
    for members in passages.values():
        places: dict[str, Span | None] = {}
        for e in members:
            for name, place in ((e.target, e.target_span), (e.actor, e.actor_span)):
                places[name] = places.get(name) or place
        asked, known = {(e.actor, e.target) for e in members}, names[members[0].corpus]
        pairs = [pair for pair in _sensible(places, *known) if pair not in asked]
        blank = replace(members[0], stance=Stance.NEUTRAL, provenance=PROVENANCE, tags=(), soft=())
        wanted = int(config.teacher_questions * len(members) + random.random())
        for index in random.permutation(len(pairs))[:wanted]:
            actor, target = pairs[index]
            question = replace(blank, id=f"{blank.id}+{len(found)}", actor=actor, target=target)
            found.append(replace(question, actor_span=places[actor], target_span=places[target]))
    labels = {corpus: _answerable(corpus, config) for corpus in {question.corpus for question in found}}
    return [replace(question, labels=labels[question.corpus]) for question in found]


def _roles(examples: Iterable[Example]) -> dict[str, tuple[set[str], set[str]]]:
    """The folded names of actors and of targets, by corpus."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for example in examples:
        acting, aimed = found.setdefault(example.corpus, (set(), set()))
        acting.add(folded(example.actor))
        aimed.add(folded(example.target))
    return found


def _sensible(places: Mapping[str, Span | None], acting: Set[str], aimed: Set[str]) -> list[tuple[str, str]]:
    """The names of a passage that may be asked about as actor, each with those that may be its target."""
    plain = {name: folded(name) for name in places}
    actors = [name for name in places if plain[name] in acting]
    targets = [name for name in places if name != SOMEONE and (places[name] is not None or plain[name] in aimed)]
    return [(a, t) for a in actors for t in targets if a != t and (places[t] is None or places[a] != places[t])]


def check_corpora(config: TrainingConfig, examples: Iterable[Example]) -> None:
    """Refuse a teacher of a corpus that the dataset does not have, and one that never learned a label of its corpus."""
    there = sorted({(example.corpus, example.labels) for example in examples})
    names = list(dict.fromkeys(name for name, _ in there))
    for corpus, folder in teachers(config):
        if corpus and corpus not in names:
            raise StanceError(
                f"training.teacher={corpus}:{folder}: the dataset has no such corpus; found {', '.join(names)}"
            )
        known = knows(folder)
        for name, labels in there:
            if corpus in ("", name) and (missing := [label for label in labels if label not in known]):
                raise StanceError(
                    f"training.teacher: {folder} never learned {', '.join(missing)}, which {name} knows; name the "
                    f"corpora that it is to answer for, as in training.teacher=[CORPUS:{folder}]"
                )


def knows(folder: Path) -> tuple[str, ...]:
    """The labels that a checkpoint has learned: what it says of another is what it was initialised with."""
    return artifact.knows(model.about(folder))


def _answerable(name: str, config: TrainingConfig) -> tuple[str, ...]:
    """The labels that all teachers of a corpus know."""
    known = [knows(folder) for corpus, folder in teachers(config) if corpus in ("", name)]
    return tuple(label for label in LABELS if all(label in labels for labels in known))


def heard(examples: Iterable[Example], config: TrainingConfig) -> list[bool]:
    """For each example whether a teacher answers for its corpus."""
    corpora = {corpus for corpus, _ in teachers(config)}
    return ["" in corpora or example.corpus in corpora for example in examples]


def _with_answers(asked: Sequence[Example], config: TrainingConfig) -> list[Example]:
    """Examples with the teachers' answers; one that nobody annotated is left out where no teacher answers it."""
    said = answers(asked, config)
    shares, open_to = only_known(said, asked), known(asked)
    mass = np.where(open_to.all(1), 1.0, (said * open_to).sum(1))
    taught = heard(asked, config)
    return [
        _taught(example, shares[i], config, mass=float(mass[i])) if taught[i] else example
        for i, example in enumerate(asked)
        if taught[i] or example.provenance not in OPEN
    ]


def answers(asked: Sequence[Example], config: TrainingConfig) -> Shares:
    """The mean probabilities of the teachers, shape `(examples, 3)`: 0 for an example that none of them answers.

    Each teacher's answers are kept in `teacher_cache`, `PART` by `PART`: a stopped run goes on where it was, and
    several at once share the work.
    """
    check(config)
    total, count = np.zeros((len(asked), len(LABELS))), np.zeros(len(asked))
    for corpus, folder in teachers(config):
        places = [i for i, example in enumerate(asked) if corpus in ("", example.corpus)]
        if places:
            total[places] += _ask(folder, [asked[i].pair() for i in places], config)
            count[places] += 1
    return np.asarray(total / count.clip(1)[:, None])


def _ask(folder: Path, pairs: Sequence[Pair], config: TrainingConfig) -> Shares:
    """The probabilities of one teacher, taken from `teacher_cache` where it has answered before."""
    precision = choose_precision(config.precision)
    about = model.about(folder)
    files = " ".join(sha256(folder / part) for part in FILES)
    by = f"{ANSWERING} {files} {precision} {'cuda' if torch.cuda.is_available() else 'cpu'}"
    parts = [pairs[start : start + PART] for start in range(0, len(pairs), PART)]
    paths = [Path(config.teacher_cache) / f"{_digest(by, part)}.safetensors" for part in parts]
    kept = {i: said for i, path in enumerate(paths) if (said := _kept(path, len(parts[i]))) is not None}
    missing = [i for i in range(len(parts)) if i not in kept]
    if missing:
        left = sum(len(parts[i]) for i in missing)
        whole = f" of {len(pairs):,}" if left < len(pairs) else ""
        print(f"teacher {folder} answers {left:,}{whole} questions", flush=True)
        np.random.default_rng().shuffle(missing)  # trainings beside each other each begin elsewhere
        with _keeping(config):  # before hours of work, not after
            Path(config.teacher_cache).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=config.teacher_cache).close()
        bar = tqdm(total=left, desc="teacher", unit="question", disable=len(missing) == 1)
        with failures.asking(folder), bar:
            checkpoint = model.load(folder, about)
            for i in missing:
                said = _kept(paths[i], len(parts[i]))  # another training may have asked meanwhile
                if said is None:
                    said = inference.logits(checkpoint, parts[i], precision=precision)
                    with _keeping(config):
                        write_bytes(paths[i], save({"logits": said}))
                kept[i] = said
                bar.update(len(said))
        del checkpoint
        free()
    learned = np.isin(LABELS, artifact.knows(about))
    return softmax(np.where(learned, np.concatenate([kept[i] for i in range(len(parts))]), MASKED))


def _digest(by: str, pairs: Sequence[Pair]) -> str:
    """Names these questions and who answers them."""
    digest = hashlib.sha256(by.encode())
    for pair in pairs:
        digest.update(jsonl.dumps(asdict(pair)).encode())
    return digest.hexdigest()


def _kept(path: Path, number: int) -> inference.Logits | None:
    """The answers to so many questions that a file has; None where it is not there or not whole."""
    try:
        logits: inference.Logits = load_file(path)["logits"]
    except (OSError, KeyError, SafetensorError):
        return None
    return logits if logits.shape == (number, len(LABELS)) else None


@contextmanager
def _keeping(config: TrainingConfig) -> Iterator[None]:
    """Say what is to do where answers can't be written."""
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"training.teacher_cache={config.teacher_cache}: answers can't be kept there ({error.strerror or error}); "
            "those that it has are kept: free space, or choose another directory"
        ) from error


def check(config: TrainingConfig) -> None:
    """Refuse a teacher that is no whole checkpoint, and no place for its answers."""
    if config.teacher and not config.teacher_cache:
        raise StanceError("training.teacher_cache=: is empty; expected a directory, such as outputs/teacher-answers")
    for _, directory in teachers(config):
        model.about(directory)
        for part in FILES:
            if not (directory / part).is_file():
                raise StanceError(
                    f"training.teacher: {directory / part} is missing; expected a checkpoint written by "
                    "scripts/train.py"
                )


def _taught(example: Example, shares: Shares, config: TrainingConfig, *, mass: float) -> Example:
    """The example with `teacher_weight` of its answer from the teachers: all of it where nobody annotated it.

    `shares` are over the labels that its corpus knows, `mass` is what the teachers gave to these. What nobody annotated
    weighs as much: most names of a passage have no stance to each other, whether its corpus knows neutral or not.
    """
    if example.provenance in OPEN:
        stance = Stance(LABELS[int(shares.argmax())])
        weight = config.teacher_questions_weight * example.weight * mass  # its corpus or passage has one
        return replace(example, soft=tuple(shares.tolist()), stance=stance, weight=weight)
    share = config.teacher_weight
    mixed = tuple((1 - share) * a + share * b for a, b in zip(example.shares(), shares.tolist(), strict=True))
    return replace(example, soft=mixed)
