"""Weak supervision: labelling functions that read stances off parses, and the label model that weighs their votes."""
