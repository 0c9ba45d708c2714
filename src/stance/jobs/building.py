"""Jobs that make datasets and annotations."""

from dataclasses import dataclass, field, replace

from stance.jobs import DATASET
from stance.settings.building import CorpusConfig, ExamplesConfig, LeaksConfig, SourceConfig, SplitConfig, WeakConfig
from stance.settings.tracking import TrackingConfig


@dataclass
class BuildJob:
    """Annotated articles to a dataset."""

    corpora: dict[str, CorpusConfig] = field(default_factory=dict)
    """KEY is the name of a file of conf/corpus/ that is chosen, as in corpus=jsonl corpora.jsonl.path=my.jsonl; several
    are chosen as in corpus=[stance_news,dse]."""
    examples: ExamplesConfig = field(default_factory=ExamplesConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    leaks: LeaksConfig = field(default_factory=LeaksConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    output: str = DATASET
    """Directory of the dataset."""


@dataclass
class WeakJob:
    """Articles that nobody annotated to weakly annotated ones."""

    source: SourceConfig = field(default_factory=SourceConfig)
    """The articles; annotations of their own only tell how good the weak ones are."""
    part: str = ""
    """Take only articles of this published split, such as train; empty takes all."""
    weak: WeakConfig = field(default_factory=WeakConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    output: str = "outputs/weak.jsonl"
    """JSON Lines of the articles that got a label."""


def sources(corpora: dict[str, CorpusConfig]) -> list[CorpusConfig]:
    """The corpora of a job, in their order; one without a name is called like its key."""
    return [replace(corpus, name=corpus.name or key) for key, corpus in corpora.items()]
