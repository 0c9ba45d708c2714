"""Stances as annotation tools hold them: labelled regions of a text and relations between the regions, both ways.

A stance is a relation from an Actor region to a Target region, labelled with the stance and its tags. Evidence regions
hang on the Target by relations labelled `evidence`. A mention that the text does not print is a region on the evidence,
marked as not printed. Names and what else a region can't show are its `name` and `facts`; where these are kept is the
business of each format.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stance.corpora.cells import DROP
from stance.corpora.source import CountedError, Dropped, Repair
from stance.errors import StanceError
from stance.forms import annotation_from_json, annotation_to_json
from stance.records import LABELS, Annotation, Article, Mention, Span

ACTOR, TARGET, EVIDENCE = KINDS = ("Actor", "Target", "Evidence")
LINK = "evidence"
"""Label of the relation between an Evidence region and a Target (or an Actor)."""
FACTS = ("annotator", "provenance", "weight", "soft")
"""What the facts of a Target region may say about the stances towards it."""


@dataclass(frozen=True, slots=True)
class Region:
    """A labelled span. `name` is empty for a mention called as it is printed; `facts` are those of a Target."""

    id: str
    kind: str
    span: Span
    name: str = ""
    printed: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relation:
    """A labelled arrow between two regions, by their ids."""

    source: str
    target: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything that is drawn on one text."""

    regions: Sequence[Region]
    relations: Sequence[Relation]


@dataclass(frozen=True, slots=True)
class Traced:
    """An annotation that a drawing holds, and the regions it comes from."""

    actor: Region
    target: Region
    note: Annotation


def draw(text: str, notes: Sequence[Annotation]) -> Drawing:
    """The regions and relations of `notes`, so that `trace` gives `notes` back, in their order.

    Two stances share a Target region only if everything that hangs on it is the same for both, and no two relations
    join the same two regions: tools keep one of them.
    """
    regions: dict[Hashable, Region] = {}
    relations: list[Relation] = []
    copies: Counter[Hashable] = Counter()

    def add(kind: str, span: Span, key: Hashable, **rest: Any) -> Region:
        return regions.setdefault((kind, span, key), Region(f"{kind[0]}{len(regions) + 1}", kind, span, **rest))

    for note in notes:
        place, about = _shown(note.actor, text, note.evidence[0])
        actor = add(ACTOR, place, note.actor, **about)
        facts = {name: value for name, value in annotation_to_json(note).items() if name in FACTS}
        key = (note.target, note.evidence, note.tags, repr(facts))
        copies[actor.id, key] += 1
        place, about = _shown(note.target, text, note.evidence[0])
        known = len(regions)
        target = add(TARGET, place, (key, copies[actor.id, key]), **about, facts=facts)
        relations.append(Relation(actor.id, target.id, (note.stance.value, *note.tags)))
        if len(regions) > known:
            relations += [Relation(add(EVIDENCE, span, ()).id, target.id, (LINK,)) for span in note.evidence]
    return Drawing(tuple(regions.values()), relations)


def merge(drawing: Drawing) -> Drawing:
    """One region for each kind and span, with its first name, and no relation twice; without tags and facts, for
    formats that keep these elsewhere.
    """
    first: dict[tuple[str, Span], Region] = {}
    ids = {
        region.id: first.setdefault((region.kind, region.span), replace(region, facts={})).id
        for region in drawing.regions
    }
    relations = dict.fromkeys(Relation(ids[r.source], ids[r.target], r.labels[:1]) for r in drawing.relations)
    return Drawing(tuple(first.values()), tuple(relations))


def _shown(mention: Mention, text: str, evidence: Span) -> tuple[Span, dict[str, Any]]:
    """Where a mention's region lies, and what it says of itself."""
    if mention.span is None:
        return evidence, {"name": mention.name, "printed": False}
    return mention.span, {"name": "" if mention.name == text[slice(*mention.span)] else mention.name}


def trace(drawing: Drawing, article: Article, labels: Mapping[str, str]) -> Iterator[Traced | Dropped | Repair]:
    """The annotations of a drawing in the order of its relations, and what can't be used.

    Evidence is what hangs on the Target, else what hangs on the Actor, else the Evidence regions that either lies in.

    Args:
        drawing: what somebody drew on the article's text.
        article: its id and text; its `where` is told with everything that can't be used.
        labels: see `SourceConfig.labels`.
    """
    regions = {region.id: region for region in drawing.regions}
    linked: dict[str, list[Span]] = {}
    stances: list[tuple[Region, Region, Relation]] = []
    for relation in drawing.relations:
        lost = [end for end in (relation.source, relation.target) if end not in regions]
        if lost:
            yield _dropped(article, relation, f"its end {lost[0]} is no region, or one that can't be used")
            continue
        source, target = regions[relation.source], regions[relation.target]
        if (source.kind == EVIDENCE) != (target.kind == EVIDENCE) and set(relation.labels) <= {LINK}:
            mention, proof = (target, source) if source.kind == EVIDENCE else (source, target)
            linked.setdefault(mention.id, []).append(proof.span)
        elif (source.kind, target.kind) == (ACTOR, TARGET):
            stances.append((source, target, relation))
        elif (source.kind, target.kind) == (TARGET, ACTOR):
            what = f"{_named(relation)} was drawn from Target to Actor; taken from Actor to Target"
            yield Repair(article.where, article.id, what)
            stances.append((target, source, relation))
        else:
            yield _dropped(article, relation, f"it joins {source.kind} to {target.kind}; expected Actor to Target")
    proofs = [region.span for region in drawing.regions if region.kind == EVIDENCE]
    for actor, target, relation in stances:
        near = [s for s in proofs if any(s[0] <= m.span[0] and m.span[1] <= s[1] for m in (actor, target))]
        evidence = linked.get(target.id) or linked.get(actor.id) or near
        yield _traced((actor, target, relation), evidence, article, labels)


def _traced(
    stance: tuple[Region, Region, Relation], evidence: Sequence[Span], article: Article, labels: Mapping[str, str]
) -> Traced | Dropped:
    actor, target, relation = stance
    told = [labels.get(label, label) for label in relation.labels]
    stances = [label for label in told if label in (*LABELS, DROP)]
    mentions = [_mention(region, article.text) for region in (actor, target)]
    try:
        if len(stances) != 1:
            found = ", ".join(relation.labels) or "none"
            raise StanceError(f"expected exactly one of {', '.join(LABELS)} among the relation's labels, found {found}")
        if stances == [DROP]:
            raise CountedError(f"labels says to drop {relation.labels[told.index(DROP)]!r}", 0)
        if not evidence:
            raise StanceError("no Evidence region hangs on its Target or its Actor, and none holds either of them")
        row = {name: value for name, value in target.facts.items() if name in FACTS}
        row |= {"actor": asdict(mentions[0]), "target": asdict(mentions[1]), "stance": stances[0]}
        row |= {"evidence": [list(span) for span in evidence], "tags": [tag for tag in told if tag != stances[0]]}
        return Traced(actor, target, annotation_from_json(row, article.text, article.where))
    except StanceError as error:
        lost = Dropped.by(error, article.where, article.id)
        return replace(lost, actor=mentions[0].name, target=mentions[1].name)


def _mention(region: Region, text: str) -> Mention:
    if region.printed:
        return Mention(region.name or text[slice(*region.span)], *region.span)
    return Mention(region.name)


def _named(relation: Relation) -> str:
    return f"relation {'+'.join(relation.labels) or 'without label'} from {relation.source} to {relation.target}"


def _dropped(article: Article, relation: Relation, reason: str) -> Dropped:
    return Dropped(article.where, article.id, "", "", f"{_named(relation)}: {reason}")
