"""The one exception for a user's mistake. Scripts print it as one line and exit with code 2."""


class StanceError(Exception):
    """Bad input or configuration: says where, what was expected, what was found and what to do."""


def install(extra: str) -> str:
    """What to do where a package of an extra is missing: this project is in a repository, not on PyPI."""
    return f"run `pip install -e '.[{extra}]'` in the folder of the repository"
