"""The one exception for a user's mistake. Scripts print it as one line and exit with code 2."""


class StanceError(Exception):
    """Bad input or configuration: says where, what was expected, what was found and what to do."""
