"""The database of studies: signs of life that go on after one could not be written, and which database an URL names."""

import sys
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
"""Where a server listens unless its URL says otherwise."""
HERE = ("127.0.0.1", "::1")
"""What `localhost` is also called."""


class Storage(RDBStorage):
    """Optuna's thread would end with the first sign of life that fails, and the trial count as one of a killed process.

    A database that is locked or away for a moment is asked again at the next one.
    """

    missed = False

    def record_heartbeat(self, trial_id: int) -> None:
        """Give a sign of life, or say that there is none until it works again."""
        try:
            super().record_heartbeat(trial_id)
        except StorageInternalError as error:
            reason = str(error.__cause__ or error).split("\n")[0]
            if not self.missed:
                print(f"no sign of life of the trial for now, tried again at the next: {reason}", file=sys.stderr)
            self.missed = True
        else:
            self.missed = False


def same(one: str, other: str) -> bool:
    """Whether two URLs name one database, as far as can be seen; false for what is none, such as a folder.

    Two search paths of PostgreSQL are tables of their own, and so may be those of two users, by the server's settings.
    """
    try:
        return _place(one) == _place(other)
    except (ArgumentError, ValueError):
        return False


def _place(text: str) -> tuple[object, ...]:
    url = make_url(text)
    if url.get_backend_name() == "sqlite":
        return ("sqlite", Path(url.database or "").resolve())
    name, host = url.get_backend_name(), (url.host or "").lower()
    where = "localhost" if host in HERE else host
    tables = (url.username, url.query.get("options")) if name == "postgresql" else ()
    return (name, where, url.port or PORTS.get(name), url.database, *tables)
