"""From an annotated article to examples. Every annotation becomes an example or is dropped with a reason.

Unannotated pairs of an exhaustively annotated article serve as `neutral`. They are drawn from the passages that
the annotations made, so that a passage is seen with pairs that hold a stance in it beside pairs that don't.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, zip_longest
from operator import itemgetter

import numpy as np

from stance import mentions
from stance.building import questions
from stance.building.unannotated import Unannotated
from stance.corpora.source import Dropped
from stance.errors import StanceError
from stance.mentions import Parsed
from stance.records import PARTIAL, UNLABELLED, Annotation, Article, Example, Mention, Span, Stance, folded
from stance.settings.building import ExamplesConfig

BATCH = 64
"""Articles that are parsed together."""
TWICE = "the same pair stands twice in the same passage"


def make(
    articles: Iterable[Article], config: ExamplesConfig, *, corpus: str
) -> Iterator[tuple[list[Example], list[Dropped]]]:
    """The examples of each article, in order, and what was dropped.

    Raises:
        StanceError: a setting has no meaning.
    """
    check(config)
    for batch in batched(articles, BATCH):
        # Parsing is what takes the time: articles that need none are not parsed.
        needed = {id(article) for article in batch if _wants_parsing(article, config)}
        wanted = [article for article in batch if config.unlabelled or id(article) in needed]
        short = [article for article in wanted if len(article.text) <= mentions.MAX_CHARACTERS]
        parsed = dict(zip(map(id, short), mentions.parse(article.text for article in short), strict=True))
        for article in batch:
            found = parsed.get(id(article))
            if id(article) in needed and found is None:
                yield [], list(_too_long(article))
            else:
                rows, dropped = _article(article, found if id(article) in needed else None, config, corpus)
                known = {row.id for row in rows}
                more = (asked for asked in _unlabelled(article, found, config, corpus) if asked.id not in known)
                yield [*rows, *more], dropped


def _too_long(article: Article) -> Iterator[Dropped]:
    reason = f"the text has {len(article.text):,} characters; at most {mentions.MAX_CHARACTERS:,} are parsed"
    for number, note in enumerate(article.annotations, 1):
        yield _dropped(article, number, note, reason)


def _dropped(article: Article, number: int, note: Annotation, reason: str) -> Dropped:
    """An annotation that makes no example, though its corpus is right."""
    where = f"{article.where}: annotation {number}"
    return Dropped(where, article.id, note.actor.name, note.target.name, reason, unusable=0)


def batched(articles: Iterable[Article], size: int) -> Iterator[list[Article]]:
    """Lists of `size` articles, the last one shorter."""
    rest = iter(articles)
    while batch := list(islice(rest, size)):
        yield batch


def check(config: ExamplesConfig) -> None:
    """Refuse settings without a meaning."""
    if config.context < 0:
        raise StanceError(f"examples.context={config.context}: expected sentences, 0 or more")
    if not 0 <= config.neutral_ratio <= 1000:
        raise StanceError(f"examples.neutral_ratio={config.neutral_ratio}: expected a ratio, from 0 to 1000")
    if config.max_passage_characters < 0:
        raise StanceError(f"examples.max_passage_characters={config.max_passage_characters}: expected 0 or more")
    if not 0 <= config.unlabelled <= 1000:
        raise StanceError(f"examples.unlabelled={config.unlabelled}: expected pairs of a sentence, from 0 to 1000")
    if not 0 <= config.alone <= 1:
        raise StanceError(f"examples.alone={config.alone}: expected a share, from 0 to 1")
    if config.seed < 0:
        raise StanceError(f"examples.seed={config.seed}: expected 0 or more")


def _wants_parsing(article: Article, config: ExamplesConfig) -> bool:
    """Whether sentences or candidates are asked for: not where all evidence is the whole text anyway."""
    whole = (len(article.text) - len(article.text.lstrip()), len(article.text.rstrip()))
    if article.exhaustive and config.neutral_ratio:
        return True
    return config.context > 0 and any(span != whole for note in article.annotations for span in note.evidence)


def passage(evidence: Sequence[Span], sentences: Sequence[Span], context: int) -> Span:
    """The text from the first to the last evidence, with `context` whole sentences around it."""
    start, end = min(a for a, _ in evidence), max(b for _, b in evidence)
    touched = bisect_right(sentences, start, key=itemgetter(1)), bisect_left(sentences, end, key=itemgetter(0)) - 1
    first, last = max(touched[0] - context, 0), min(touched[1] + context, len(sentences) - 1)
    return min(start, sentences[first][0]), max(end, sentences[last][1])


def _article(
    article: Article, parsed: Parsed | None, config: ExamplesConfig, corpus: str
) -> tuple[list[Example], list[Dropped]]:
    places = [_place(article, note.evidence, parsed, config) for note in article.annotations]
    stances: dict[tuple[Span, str, str], set[Stance]] = {}
    for place, annotation in zip(places, article.annotations, strict=True):
        stances.setdefault(_key(place, annotation), set()).add(annotation.stance)
    examples: dict[tuple[Span, str, str], Example] = {}
    dropped, lost = list[Dropped](), set[str]()
    for number, (place, annotation) in enumerate(zip(places, article.annotations, strict=True), 1):
        key = _key(place, annotation)
        reason = _reason(place, config, key, stances[key], repeated=key in examples)
        if reason:
            dropped.append(_dropped(article, number, annotation, reason))
            if reason != TWICE:
                lost.add(folded(annotation.target.name))
        else:
            both = annotation.actor, annotation.target
            made = _example(article, place, both, annotation.stance, corpus, annotation.provenance, annotation.tags)
            examples[key] = replace(made, weight=annotation.weight, soft=annotation.soft)
    if not article.exhaustive or parsed is None:
        return _marked(examples.values(), lost), dropped
    wanted = round(config.neutral_ratio * len(examples))
    pools = _pools(article, parsed, sorted({place for place, _, _ in examples}), config.seed)
    drawn = [
        _example(article, place, names, Stance.NEUTRAL, corpus, provenance="sampled")
        for place, names in _draw(pools, wanted)
    ]
    return _marked([*examples.values(), *drawn], lost), dropped


def _marked(rows: Iterable[Example], lost: Collection[str]) -> list[Example]:
    """The rows of an article, tagged where annotations about the targets `lost` may say more of theirs."""
    return [
        replace(row, tags=(*row.tags, PARTIAL))
        if lost and (row.provenance == "sampled" or folded(row.target) in lost)
        else row
        for row in rows
    ]


def _unlabelled(article: Article, parsed: Parsed | None, config: ExamplesConfig, corpus: str) -> Iterator[Example]:
    """Questions about each sentence of an article. They have no answer: their stance is a placeholder."""
    if parsed is None or not config.unlabelled:
        return
    places = (_place(article, [sentence], parsed, config) for sentence in parsed.sentences)
    short = (place for place in places if place[1] - place[0] <= config.max_passage_characters)
    for place, names in questions.draw(article, parsed, short, config.unlabelled, seed=config.seed):
        yield _example(article, place, names, Stance.NEUTRAL, corpus, UNLABELLED)


def _place(article: Article, evidence: Sequence[Span], parsed: Parsed | None, config: ExamplesConfig) -> Span:
    if parsed is None:
        return min(a for a, _ in evidence), max(b for _, b in evidence)
    return passage(evidence, parsed.sentences, 0 if _alone(article, evidence, config.alone) else config.context)


def _alone(article: Article, evidence: Sequence[Span], share: float) -> bool:
    """Whether an evidence stands alone: a draw that depends on the article and the evidence, whatever the seed."""
    digest = hashlib.sha256(f"{article.id}:{evidence[0][0]}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def _key(place: Span, annotation: Annotation) -> tuple[Span, str, str]:
    return place, folded(annotation.actor.name), folded(annotation.target.name)


def _reason(
    place: Span,
    config: ExamplesConfig,
    key: tuple[Span, str, str],
    stances: set[Stance],
    *,
    repeated: bool,
) -> str:
    """Why an annotation can't be an example; empty when it can."""
    if place[1] - place[0] > config.max_passage_characters:
        return f"evidence and context of {place[1] - place[0]} characters, limit {config.max_passage_characters}"
    if key[1] == key[2]:
        return "actor and target have the same name"
    if len(stances) > 1:
        return "the same pair has two stances in the same passage"
    return TWICE if repeated else ""


def _example(
    article: Article,
    place: Span,
    names: tuple[Mention, Mention],
    stance: Stance,
    corpus: str,
    provenance: str = "gold",
    tags: tuple[str, ...] = (),
) -> Example:
    actor, target = names
    start, end = place

    def moved(mention: Mention) -> Span | None:
        span = mention.span
        return (span[0] - start, span[1] - start) if span and start <= span[0] and span[1] <= end else None

    digest = hashlib.sha256(
        "\x1f".join([corpus, article.id, str(start), str(end), actor.name, target.name]).encode()
    ).hexdigest()
    return Example(
        id=f"{article.id}-{digest[:10]}",
        text=article.text[start:end],
        actor=actor.name,
        target=target.name,
        actor_span=moved(actor),
        target_span=moved(target),
        stance=stance,
        article_id=article.id,
        corpus=corpus,
        date=article.date,
        provenance=provenance,
        weight=1.0,
        tags=tags,
    )


def _pools(
    article: Article, parsed: Parsed, places: Sequence[Span], seed: int
) -> list[list[tuple[Span, tuple[Mention, Mention]]]]:
    """The unannotated pairs of each passage in random order. An article's order depends on its id and the seed.

    Pairs of names and pairs with a mere phrase alternate: the former are the harder ones, the latter are what a
    reader asks about most.
    """
    random = np.random.default_rng([seed, *hashlib.sha256(article.id.encode()).digest()[:8]])
    names, pools = Unannotated(article, parsed), []
    for place in places:
        kinds = names.pairs(place)
        mixed = zip_longest(*([pairs[i] for i in random.permutation(len(pairs))] for pairs in kinds))
        pools.append([(place, pair) for both in mixed for pair in both if pair is not None])
    return pools


def _draw(
    pools: list[list[tuple[Span, tuple[Mention, Mention]]]], wanted: int
) -> Iterator[tuple[Span, tuple[Mention, Mention]]]:
    """Take pairs from the pools in turn, so that they spread over the article."""
    turns = zip_longest(*pools)
    pairs = (pair for turn in turns for pair in turn if pair is not None)
    return islice(pairs, wanted)
