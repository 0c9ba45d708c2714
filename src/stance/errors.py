"""The one exception for a user's mistake, which scripts print as a line with exit code 2, and what its texts share."""

import re

_PASSWORD = re.compile(r"(?<=://)[^:/?]*:([^?]+(?=@)|[^@]+)@")


class StanceError(Exception):
    """Bad input or configuration: says where, what was expected, what was found and what to do."""


def password(address: str) -> str:
    """The password in an address, as it is written there; empty where it has none.

    Up to the last @ before a query, else the first: user and password may have one too.
    """
    found = _PASSWORD.search(address)
    return found[1] if found else ""


def install(extra: str) -> str:
    """What to do where a package of an extra is missing: this project is in a repository, not on PyPI."""
    return f"run `pip install -e '.[{extra}]'` in the folder of the repository"
