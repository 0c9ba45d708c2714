"""From pairs to token ids: one way, for training and for serving. Needs numpy and tokenizers only.

Two layouts share one set of inputs (ids, position ids, block ids, marker indices):

* `one_pass`: `[CLS] passage [SEP]` once (block 0), then a block `[ACTOR] name [TARGET] name` for every pair
  (blocks 1, 2, …). A block's tokens take the positions of the mention where the passage prints it, else
  positions behind the passage. The model lets a block see the passage and itself, so a pair's answer does not
  depend on the pairs beside it.
* `pair`: `[CLS] [ACTOR] name [TARGET] name [SEP] passage [SEP]`, one pair a row, all of it block 0; the
  mentions in the passage are preceded by the same markers. For encoders that take no position ids of ours.

A question is the two names with their markers; as a `hypothesis` it has a verb between them ("[ACTOR] Pakistan
supports [TARGET] the plan"; Schick & Schütze, EACL 2021), which takes the position of the actor's last token. With
`typed` the markers also close the mentions in the passage (typed entity markers; Zhou & Chen, AACL 2022); the roles
are the types. That needs a passage of its own for each pair, so the layout `pair`.
A passage over the limit is cut to windows around the pair's own mentions; a window depends on its pair alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cache, lru_cache
from itertools import islice

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from stance.errors import StanceError
from stance.layouts import LAYOUTS, MAX_VERB_TOKENS, Encoding, check_question
from stance.lookup import find_mention
from stance.records import Pair, Span

ACTOR, TARGET = "[ACTOR]", "[TARGET]"
VERB = "supports"
AT_ONCE = 1024
"""Texts that are handed to the tokenizer together; what it makes of them takes a hundred bytes a token."""
Window = tuple[Span, ...]
Ids = npt.NDArray[np.int32]
Inputs = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row of the model's input, not padded: a window of a passage with its pairs.

    `ids`, `positions` and `blocks` have shape `(tokens,)`, `markers` has `(pairs, 2)`: the indices of a pair's
    actor and target marker. `pairs` holds the indices of those pairs in the caller's sequence.
    """

    ids: list[int]
    positions: list[int]
    blocks: list[int]
    markers: list[Span]
    pairs: list[int]


@dataclass(frozen=True, slots=True)
class Cuts:
    """What the limits took away, in pairs: passage windowed, mention outside its window, name shortened."""

    pairs: int
    windowed: int
    lost_mention: int
    shortened_name: int

    def __add__(self, other: "Cuts") -> "Cuts":
        """Of both sets of pairs."""
        return Cuts(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        def share(count: int) -> str:
            return f"{count} ({count / max(self.pairs, 1):.1%})"

        return (
            f"of {self.pairs} pairs: passage windowed {share(self.windowed)}, "
            f"part of a mention outside the window {share(self.lost_mention)}, "
            f"name shortened {share(self.shortened_name)}"
        )


class PairEncoder:
    """A tokenizer with its `Encoding`. The tokenizer's own truncation and padding are switched off."""

    def __init__(self, tokenizer: Tokenizer, settings: Encoding) -> None:
        if settings.layout not in LAYOUTS:
            raise StanceError(f"unknown layout {settings.layout!r}; expected one of {', '.join(LAYOUTS)}")
        check_question(settings.question, settings.layout)
        for marker, number in ((ACTOR, settings.actor_id), (TARGET, settings.target_id)):
            if tokenizer.token_to_id(marker) != number:
                raise StanceError(
                    f"the tokenizer has {marker} as {tokenizer.token_to_id(marker)}, the encoding expects "
                    f"{number}; take tokenizer and settings from the same artifact"
                )
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # a text that prints "[SEP]" means these letters, not the token
        self.tokenizer = tokenizer
        self.settings = settings
        self._name_ids = lru_cache(maxsize=4096)(self._encode_name)
        self._verb_ids = self._encode_name(VERB)[0][:MAX_VERB_TOKENS] if settings.question == "hypothesis" else []

    def encode(self, pairs: Sequence[Pair]) -> tuple[list[Encoded], Cuts]:
        """Group the pairs by passage window and encode each group once.

        Returns:
            The rows, in order of first appearance, and what the limits cut.
        """
        passages = dict(self._tokenised(dict.fromkeys(pair.text for pair in pairs)))
        look = cache(find_mention)  # the same names may be asked about in many pairs
        groups: dict[tuple[str, Window], list[tuple[int, Span | None, Span | None]]] = {}
        windowed = lost = shortened = 0
        for index, pair in enumerate(pairs):
            ids, offsets = passages[pair.text]
            names = (pair.actor, pair.actor_span), (pair.target, pair.target_span)
            places = [look(pair.text, name) if given is None else given for name, given in names]
            anchors = [None if place is None else _tokens(place, offsets) for place in places]
            window = self._window(len(ids), [a for a in anchors if a])
            inside = [a and _within(a, window) for a in anchors]
            windowed += window != ((0, len(ids)),)
            lost += any(a and (i is None or i[1] - i[0] < a[1] - a[0]) for a, i in zip(anchors, inside, strict=True))
            shortened += any(self._name_ids(name)[1] for name in (pair.actor, pair.target))
            groups.setdefault((pair.text, window), []).append((index, inside[0], inside[1]))
        rows = [
            row
            for (text, window), members in groups.items()
            for row in self._rows([i for a, b in window for i in passages[text][0][a:b].tolist()], members, pairs)
        ]
        return rows, Cuts(len(pairs), windowed, lost, shortened)

    def _tokenised(self, texts: Iterable[str]) -> Iterator[tuple[str, tuple[Ids, Ids]]]:
        """The ids of each text, shape `(tokens,)`, and its tokens' starts and ends, `(2, tokens)`, in little memory."""
        left = iter(texts)
        while some := list(islice(left, AT_ONCE)):
            for text, found in zip(some, self.tokenizer.encode_batch(some, add_special_tokens=False), strict=True):
                yield text, (np.array(found.ids, np.int32), np.array(found.offsets, np.int32).reshape(-1, 2).T.copy())

    def _encode_name(self, name: str) -> tuple[list[int], bool]:
        """A name's ids and whether the limit shortened them."""
        text = name.strip()
        ids = self.tokenizer.encode(" " + text if self.settings.space_before_name else text,
                                    add_special_tokens=False).ids  # fmt: skip
        limit = self.settings.max_name_tokens
        return ids[:limit], len(ids) > limit

    def _window(self, length: int, anchors: list[Span]) -> Window:
        """The token ranges of a passage that a pair with these mentions gets to see."""
        limit = self.settings.max_passage_tokens
        if length <= limit:
            return ((0, length),)
        low = min((a for a, _ in anchors), default=0)
        high = max((b for _, b in anchors), default=0)
        if high - low <= limit:
            # Starts are multiples of a stride so that neighbouring pairs share a window, and thus a pass.
            stride = max(limit // 4, 1)
            start = max(0, round((low + high - limit) / 2 / stride) * stride)
            if not (start <= low and high <= start + limit):
                start = (low + high - limit) // 2
            start = max(0, min(start, length - limit))
            return ((start, start + limit),)
        half = limit // 2
        starts = sorted(max(0, min((a + b - half) // 2, length - half)) for a, b in anchors)
        first, second = starts[0], max(starts[-1], starts[0] + half)
        return ((first, first + half), (second, min(second + half, length)))

    def _rows(
        self, passage: list[int], members: list[tuple[int, Span | None, Span | None]], pairs: Sequence[Pair]
    ) -> Iterable[Encoded]:
        step = self.settings.max_pairs if self.settings.layout == "one_pass" else 1
        build = self._one_pass if self.settings.layout == "one_pass" else self._pair
        for start in range(0, len(members), step):
            yield build(passage, members[start : start + step], pairs)

    def _one_pass(
        self, passage: list[int], members: list[tuple[int, Span | None, Span | None]], pairs: Sequence[Pair]
    ) -> Encoded:
        s = self.settings
        ids = [s.cls_id, *passage, s.sep_id]
        positions, blocks = list(range(len(ids))), [0] * len(ids)
        markers: list[Span] = []
        for block, (index, actor, target) in enumerate(members, 1):
            behind, places = len(passage) + 2, []
            for marker, name, anchor, verb in (
                (s.actor_id, pairs[index].actor, actor, self._verb_ids),
                (s.target_id, pairs[index].target, target, []),
            ):
                tokens = self._name_ids(name)[0]
                places.append(len(ids))
                ids += [marker, *tokens]
                if anchor:
                    first, last = anchor[0] + 1, anchor[1]  # [CLS] shifts every token by one
                    positions += [first, *(min(first + k, last) for k in range(len(tokens)))]
                else:
                    positions += range(behind, behind + 1 + len(tokens))
                    behind += 1 + len(tokens)
                ids += verb
                positions += [positions[-1]] * len(verb)
            blocks += [block] * (len(ids) - len(blocks))
            markers.append((places[0], places[1]))
        positions = [p + s.position_offset for p in positions]
        return Encoded(ids, positions, blocks, markers, [index for index, _, _ in members])

    def _pair(
        self, passage: list[int], members: list[tuple[int, Span | None, Span | None]], pairs: Sequence[Pair]
    ) -> Encoded:
        s = self.settings
        ((index, actor, target),) = members
        actor_ids, target_ids = (self._name_ids(name)[0] for name in (pairs[index].actor, pairs[index].target))
        marked = list(passage)
        sides = (1, 0) if s.question == "typed" else (1,)  # a mention that ends where another begins is closed first
        both = ((actor, s.actor_id), (target, s.target_id))
        places = [(a[1 - opens], opens, marker) for a, marker in both if a for opens in sides]
        for place, _, marker in sorted(places, reverse=True):
            marked.insert(place, marker)
        question = [s.actor_id, *actor_ids, *self._verb_ids, s.target_id, *target_ids]
        ids = [s.cls_id, *question, s.sep_id, *marked, s.sep_id]
        positions = [k + s.position_offset for k in range(len(ids))]
        return Encoded(ids, positions, [0] * len(ids), [(1, 1 + question.index(s.target_id))], [index])


def collate(rows: Sequence[Encoded], pad_id: int) -> Inputs:
    """Pad rows to one batch.

    Returns:
        `input_ids`, `position_ids`, `block_ids` of shape `(batch, tokens)` and `markers` of `(batch, pairs, 2)`.
        Padding has block id -1; the markers of absent pairs are 0.
    """
    tokens, pairs = max(len(r.ids) for r in rows), max(len(r.markers) for r in rows)
    batch = {
        "input_ids": np.full((len(rows), tokens), pad_id, np.int64),
        "position_ids": np.zeros((len(rows), tokens), np.int64),
        "block_ids": np.full((len(rows), tokens), -1, np.int64),
        "markers": np.zeros((len(rows), pairs, 2), np.int64),
    }
    for i, row in enumerate(rows):
        for key, values in (
            ("input_ids", row.ids),
            ("position_ids", row.positions),
            ("block_ids", row.blocks),
        ):
            batch[key][i, : len(values)] = values
        batch["markers"][i, : len(row.markers)] = row.markers
    return batch


def _tokens(span: Span, offsets: Ids) -> Span | None:
    """The range `[first, last)` of the passage's tokens that a mention is printed in."""
    starts, ends = offsets  # of the type of what is looked for, else all of them would be converted
    first = int(np.searchsorted(ends, np.int32(span[0]), "right"))
    last = int(np.searchsorted(starts, np.int32(span[1]), "left"))
    return (first, last) if first < last else None


def _within(anchor: Span, window: Window) -> Span | None:
    """The part of a token range that a window keeps, counted in the window's own tokens."""
    shift = 0
    for a, b in window:
        first, last = max(anchor[0], a), min(anchor[1], b)
        if first < last:
            return first - a + shift, last - a + shift
        shift += b - a
    return None
