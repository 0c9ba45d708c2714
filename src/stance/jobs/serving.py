"""Jobs that use an artifact alone."""

from dataclasses import dataclass

from stance.jobs import ARTIFACT


@dataclass
class PredictJob:
    """Stances of pairs."""

    artifact: str = ARTIFACT
    """Directory of the artifact."""
    input: str = "data/examples/pairs.jsonl"
    """JSON Lines of {text, actor, target}."""
    output: str = "outputs/predictions.jsonl"
    """JSON Lines of the answers, in the order of the input."""
    precision: str = "int8"
    """int8 or fp32."""
    threads: int = 0
    """Threads of the runtime; 0 takes one a core."""
    abstain: bool = False
    """Add `abstained`: whether the confidence is too low to keep to export.target_risk."""
