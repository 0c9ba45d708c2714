"""The typed jobs of the scripts: what each can be told, with defaults. YAML in `conf/` states what differs.

A docstring under each field is its help text. Nothing here needs a library (see `stance.settings`).
"""

DATASET, CHECKPOINT, ARTIFACT = "outputs/dataset", "outputs/checkpoint", "outputs/artifact"
