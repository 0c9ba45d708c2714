"""Answers of a checkpoint in PyTorch: for parity checks, teachers and experiments. Services use `stance.predictor`."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from stance.encoding import Encoded, PairEncoder, collate
from stance.network.model import Checkpoint
from stance.records import LABELS, MASKED, Pair

Logits = npt.NDArray[np.float32]
ROWS = 64


def logits(
    checkpoint: Checkpoint,
    pairs: Sequence[Pair],
    *,
    precision: str = "fp32",
    report: Callable[[int], object] | None = None,
) -> Logits:
    """The scores of a checkpoint, shape `(pairs, 3)`, computed on the GPU where there is one.

    That of a label which the model never learned is `MASKED`.

    Args:
        checkpoint: the model, which is left in evaluation mode.
        pairs: the questions.
        precision: `fp32`, or `bf16` for products in bf16, several times faster where the hardware has it.
        report: is called with the number of pairs, when some after the others are answered.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = checkpoint.model.eval().to(device)
    rows, _ = PairEncoder(checkpoint.tokenizer, checkpoint.encoding).encode(pairs)
    rows.sort(key=lambda row: len(row.ids))
    scores = np.zeros((len(pairs), len(LABELS)), np.float32)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for start in range(0, len(rows), ROWS):
            batch = rows[start : start + ROWS]
            answers = model(**_tensors(batch, checkpoint.encoding.pad_id, device)).float().cpu().numpy()
            for row, values in zip(batch, answers, strict=True):
                scores[row.pairs] = values[: len(row.pairs)]
            if report:
                report(sum(len(row.pairs) for row in batch))
    return np.where(np.isin(LABELS, checkpoint.knows), scores, np.float32(MASKED))


def _tensors(rows: Sequence[Encoded], pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).to(device) for name, array in collate(rows, pad_id).items()}
