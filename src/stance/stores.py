"""The databases of MLflow: what an SQLite one must be before MLflow opens it, how long a server is
waited for, and what may be logged of either."""

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import metadata as packages
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mlflow
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from stance.errors import StanceError, password

LOCK_SECONDS = 5.0
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""What MLflow reads at each request; without, a server that is away holds a call up for four minutes and more.

The one more try comes at once: a server may close a connection that has been idle just when it is used again.
"""
_CAUSE = re.compile(r"Caused by .*?(\[Errno -?\d+\] [^'\")]+|timed out)")


def check_sqlite(path: Path) -> None:
    """Refuse a file that is no database, is locked, or has another MLflow's schema; make its folder.

    Raises:
        StanceError: MLflow should not open it. It is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
            tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
            found = database.execute("SELECT version_num FROM alembic_version").fetchall() if tables else []
    except sqlite3.OperationalError as error:
        raise StanceError(
            f"{path}: the tracking database can't be written ({error}); another process holds it or it is "
            "read-only: wait, close that process, or set tracking.uri to another file"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StanceError(f"{path}: not an SQLite database ({error}); set tracking.uri to another file") from error
    if found:
        _check_revision(path, found[0][0])


def _check_revision(path: Path, revision: str) -> None:
    migrations = Path(mlflow.__file__).parent / "store" / "db_migrations"
    scripts = ScriptDirectory(str(migrations))
    version = packages.version("mlflow")
    try:
        scripts.get_revision(revision)
    except CommandError as error:
        raise StanceError(
            f"{path}: written by a newer MLflow (schema {revision} is unknown to {version}); install that MLflow "
            "or set tracking.uri to another file. Nothing was changed"
        ) from error
    if revision != scripts.get_current_head():
        raise StanceError(
            f"{path}: written by an older MLflow (schema {revision}, {version} needs "
            f"{scripts.get_current_head()}); back it up and run `mlflow db upgrade sqlite:///{path}`"
        )


def without_password(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of a run as they may be logged: the store's address may hold a password."""
    if "tracking" not in settings:
        return settings
    uri = settings["tracking"]["uri"]
    return {**settings, "tracking": {**settings["tracking"], "uri": scrubbed(uri, uri)}}


def over_http() -> bool:
    """Whether MLflow's store is a server."""
    return str(mlflow.get_tracking_uri()).startswith("http")


@contextmanager
def impatient() -> Iterator[None]:
    """Let MLflow give up on a server that does not answer within 20 seconds, or at once if nobody is there."""
    if not over_http():
        yield
        return
    before = {name: os.environ.get(name) for name in IMPATIENT}
    os.environ.update(IMPATIENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def reason(error: Exception) -> str:
    """The first line of an error of MLflow; of a server that can't be reached, why."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    found = _CAUSE.search(line)
    return f"no answer ({found[1]}); is the server up and its address right?" if found else line


def scrubbed(text: object, uri: str = "") -> str:
    """`text`, such as an error, without the password that the address of MLflow's store, or `uri`, may hold."""
    address = uri or mlflow.get_tracking_uri()
    said = re.sub(r"([?&]password=)[^&\s]+", r"\1***", str(text))
    if not (given := password(address)):
        return said
    hidden, secret = f":{given}@", unquote(given)
    said = said.replace(hidden, ":***@")
    # Alone, in a message of a driver, only where it can't be taken for a user, a database or a common word.
    return said.replace(secret, "***") if len(secret) > 5 and secret not in address.replace(hidden, "@") else said
