"""Jobs that use an artifact alone."""

from dataclasses import dataclass

from stance.jobs import ARTIFACT


@dataclass
class PredictJob:
    """Stances of pairs."""

    artifact: str = ARTIFACT
    """Directory of the artifact."""
    input: str = "data/examples/pairs.jsonl"
    """JSON Lines of {text, actor, target}, and where they are known actor_span and target_span: [start, end], counted
    in characters (Unicode code points, as Python counts), not in bytes or UTF-16 units."""
    output: str = "outputs/predictions.jsonl"
    """JSON Lines of the input's rows, in their order, each with stance, confidence and the three probabilities."""
    precision: str = "int8"
    """Which model of the artifact answers: int8, which is smaller and faster, or fp32."""
    threads: int = 0
    """Threads of ONNX Runtime; 0 takes one a core."""
    abstain: bool = False
    """Add `abstained`: whether the confidence is too low to keep to export.target_risk."""
