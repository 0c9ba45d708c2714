"""How varied a corpus is: actors, verbs of stance, repeated word sequences, names that give a label away."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stance import mentions
from stance.records import Article

STANCE_VERBS = frozenset({
    "accept", "acclaim", "accuse", "advocate", "agree", "applaud", "approve", "argue", "assail", "attack",
    "back", "balk", "ban", "bar", "baulk", "berate", "blame", "blast", "block", "boo", "boycott", "call",
    "campaign", "castigate", "caution", "censure", "challenge", "champion", "charge", "chide", "commend",
    "complain", "concede", "condemn", "congratulate", "contest", "convict", "counter", "credit", "criticise",
    "criticize", "cut", "dare", "decline", "decry", "defend", "defy", "demand", "denounce", "deny", "deplore",
    "deride", "deserve", "disagree", "dismiss", "dispute", "distrust", "doubt", "embrace", "encourage",
    "endorse", "expel", "fault", "favor", "favour", "fear", "fight", "fine", "fund", "hail", "halt", "hit",
    "honor", "honour", "indict", "insist", "join", "lambast", "lament", "laud", "loathe", "lobby", "mock",
    "object", "oppose", "oust", "overrule", "overturn", "pan", "pardon", "pick", "picket", "pledge", "praise",
    "prefer", "press", "promise", "promote", "propose", "protest", "push", "quash", "question", "ratify",
    "rebuff", "rebuke", "recall", "reckon", "refuse", "regret", "reject", "repudiate", "resist", "ridicule",
    "salute", "sanction", "savage", "scoff", "scold", "scorn", "scrap", "second", "seek", "shelve", "shun",
    "slam", "slate", "snub", "sponsor", "spurn", "stall", "stop", "strike", "sue", "support", "suspect",
    "thank", "threaten", "toast", "torpedo", "tout", "trust", "uphold", "urge", "veto", "vilify", "volunteer",
    "vote", "vow", "walk", "want", "warn", "welcome", "withdraw", "withhold",
})  # fmt: skip
"""Lemmas of verbs by which a stance is often told. A list to measure variety with; no model sees it."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Variety:
    """Shares are of all annotations (actors) or all evidence sentences (verbs); grams are of six words."""

    actors: list[tuple[str, float]]
    verbs: list[tuple[str, float]]
    grams: list[tuple[str, int]]
    sentences: int

    def problems(self, *, actor: float = 0.04, verb: float = 0.03, articles: int = 3) -> list[str]:
        """What passes a limit: an actor's share, a verb's share, the articles of one sequence of six words."""
        shares = [("actor", "annotations", actor, self.actors), ("verb", "evidence sentences", verb, self.verbs)]
        return [
            f"{kind} {name!r}: {share:.1%} of the {whole}, at most {limit:.0%}"
            for kind, whole, limit, found in shares
            for name, share in found
            if share > limit
        ] + [f"six words {gram!r}: in {n} articles, at most {articles}" for gram, n in self.grams if n > articles]


def measure(articles: Sequence[Article]) -> Variety:
    """Count actors, lemmas of stance verbs (by spaCy) in evidence sentences, and sequences of six words."""
    actors = Counter(note.actor.name for article in articles for note in article.annotations)
    total = max(sum(actors.values()), 1)
    grams: Counter[str] = Counter()
    for article in articles:
        words = _WORD.findall(article.text.casefold())
        grams.update(list(dict.fromkeys(" ".join(words[i : i + 6]) for i in range(len(words) - 5))))
    verbs, sentences = _verbs(articles)
    return Variety(
        [(name, count / total) for name, count in actors.most_common(10)],
        [(name, count / max(sentences, 1)) for name, count in verbs.most_common(15)],
        grams.most_common(10),
        sentences,
    )


def _verbs(articles: Sequence[Article]) -> tuple[Counter[str], int]:
    """In how many evidence sentences each stance verb stands, and how many of these sentences there are."""
    verbs: Counter[str] = Counter()
    sentences = 0
    nlp = mentions.pipeline(lemmas=True, names=False)
    parts = [(article, start, text) for article in articles for start, text in mentions.pieces(article.text)]
    for (article, begin, _), document in zip(parts, nlp.pipe(text for _, _, text in parts), strict=True):
        spans = [(a - begin, b - begin) for note in article.annotations for a, b in note.evidence]
        for sentence in document.sents:
            if any(a < sentence.end_char and sentence.start_char < b for a, b in spans):
                sentences += 1
                lemmas = dict.fromkeys(t.lemma_.casefold() for t in sentence if t.pos_ == "VERB")
                verbs.update(lemma for lemma in lemmas if lemma in STANCE_VERBS)
    return verbs, sentences
