"""The typed jobs of the scripts: what each can be told, with defaults. YAML in `conf/` states what differs.

A docstring under each field is its help text. A module holds the jobs of scripts that need the same libraries, so that
none waits for those of another.
"""

DATASET, CHECKPOINT, ARTIFACT = "outputs/dataset", "outputs/checkpoint", "outputs/artifact"
