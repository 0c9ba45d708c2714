"""What a row of a dataset must be for `stance.building.dataset` to make an example of it."""

import math
from collections.abc import Mapping
from typing import Any

from stance.records import LABELS

NAMES = ("id", "text", "actor", "target", "article_id", "corpus", "provenance")
"""Fields that no row leaves empty."""


def fault(row: Mapping[str, Any], lowest: int) -> str:
    """The name of the first field whose value an example can't have; empty for a sound row.

    Args:
        row: as Parquet has it, `stance` a class.
        lowest: the lowest class that a row may have.
    """
    size = len(row["text"] or "")
    sound = {
        **{name: bool(row[name]) for name in NAMES},
        "stance": row["stance"] in range(lowest, len(LABELS)),
        "actor_span": _is_span(row["actor_span"], size),
        "target_span": _is_span(row["target_span"], size),
        "date": row["date"] is not None,
        "weight": _is_amount(row["weight"]),
        "tags": row["tags"] is not None and None not in row["tags"],
        "soft": row["soft"] is not None and len(row["soft"]) in (0, len(LABELS)) and all(map(_is_amount, row["soft"])),
        "labels": bool(row["labels"]) and set(row["labels"]) <= set(LABELS),
    }
    return next((name for name, fine in sound.items() if not fine), "")


def _is_span(value: Any, size: int) -> bool:
    return value is None or (len(value) == 2 and None not in value and 0 <= value[0] < value[1] <= size)


def _is_amount(value: float | None) -> bool:
    return value is not None and 0 <= value < math.inf
