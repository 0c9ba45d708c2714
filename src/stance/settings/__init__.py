"""What can be set, with defaults: plain data that needs no library, so that `--help` and a typo need not wait for one.

The docstring under each field is its help text. The module that obeys a setting checks it. Jobs are made of these.
"""

LEXICON = "data/lexicon/stance.yaml"
"""The words that show a stance, for weak labels and for rewritten pairs."""
