"""The databases of MLflow: what an SQLite one must be before MLflow opens it, how long a server is
waited for, and what may be logged of either."""

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from importlib import metadata as packages
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import unquote

import mlflow
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException

from stance.errors import StanceError, hidden, password
from stance.files import check_above

Answer = TypeVar("Answer")
LONGEST_NAME = 500
"""Of an experiment; MLflow takes no longer one."""
LOCK_SECONDS = 5.0
MAKING_SECONDS = 300.0
"""MLflow takes three to make a database, on a busy machine thirty."""
STILL_SECONDS = 5.0
"""Each step of its making takes less than one."""
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""What MLflow reads at each request; without, a server that is away holds a call up for four minutes and more.

The one more try comes at once: a server may close a connection that has been idle just when it is used again.
"""
_CAUSE = re.compile(r"Caused by .*?(\[Errno -?\d+\] [^'\")]+|timed out)")


@contextmanager
def opening(uri: str) -> Iterator[None]:
    """Open the store at `uri` inside; of an SQLite database no other process of ours does so meanwhile.

    MLflow makes a new one table by table: of two processes that do so at a time one fails.

    Raises:
        StanceError: see `check_sqlite`; or MLflow takes the name for another one, there can be no such file, or
            another process is at it for very long.
    """
    if not uri.startswith("sqlite:///"):
        yield
        return
    name = uri.removeprefix("sqlite:///")
    if (other := unquote(name)) != name:  # it would open that one, or try for minutes
        raise StanceError(f"tracking.uri={uri}: MLflow reads this as {other}; choose a path without %")
    path = Path(name)
    if not path.name:
        raise StanceError(f"tracking.uri={uri}: names no file; expected sqlite:///FILE")
    check_above(path)
    lock = path.with_name(f".{path.name}.lock")
    done = path.exists() and not lock.exists()  # whoever made it did not wait for others
    if not done:
        _make(lock, uri)
    try:
        with nullcontext() if done else FileLock(lock, timeout=MAKING_SECONDS):
            check_sqlite(path)
            yield
    except Timeout as error:
        raise StanceError(
            f"{lock}: another process has been opening the tracking database for {MAKING_SECONDS:.0f} s; wait for it, "
            "or set tracking.uri to another file"
        ) from error


def _make(lock: Path, uri: str) -> None:
    """Make the lock file, and its folder: where there can be none, `FileLock` waits as if another process held it."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise StanceError(
            f"tracking.uri={uri}: can't be made ({error.strerror}: {error.filename}); set it to another file"
        ) from error


def check_experiment(name: str, artifacts: str) -> None:
    """Refuse a name that MLflow takes for no experiment, and no place for its files."""
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        raise StanceError(f"tracking.experiment={name}: expected a name of 1 to {LONGEST_NAME} characters")
    if not artifacts.strip():
        raise StanceError("tracking.artifacts=: is empty; expected a directory or a URL, such as mlruns/artifacts")


def check_sqlite(path: Path) -> None:
    """Refuse a file that is no database, is locked, or has another MLflow's schema.

    What a process left that was killed while MLflow made the database, without a row in it, is removed.

    Raises:
        StanceError: MLflow should not open it. It is as it was.
    """
    if not path.exists() or not (revision := _ask(path, _revision)):
        return
    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if revision == scripts.get_current_head():
        return
    if _ask(path, _filled):
        _refuse(path, revision, scripts)
    time.sleep(STILL_SECONDS)
    if _ask(path, _revision) == revision and not _ask(path, _filled):
        path.unlink()
    else:  # somebody who knows nothing of our lock, such as `mlflow ui`, is making it
        check_sqlite(path)


def _ask(path: Path, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
            return question(database)
    except sqlite3.OperationalError as error:
        raise StanceError(
            f"{path}: the tracking database can't be written ({error}); another process holds it or it is "
            "read-only: wait, close that process, or set tracking.uri to another file"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StanceError(f"{path}: not an SQLite database ({error}); set tracking.uri to another file") from error


def _revision(database: sqlite3.Connection) -> str:
    """The version of the schema; empty where MLflow has made none."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
    found = database.execute("SELECT version_num FROM alembic_version").fetchall() if tables else []
    return str(found[0][0]) if found else ""


def _filled(database: sqlite3.Connection) -> bool:
    """Whether MLflow has kept something, beside what it puts into a new database by itself."""
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tables = [name.replace('"', '""') for (name,) in found if name not in ("alembic_version", "workspaces")]
    return any(database.execute(f'SELECT EXISTS (SELECT 1 FROM "{table}")').fetchone()[0] for table in tables)  # noqa: S608


def _refuse(path: Path, revision: str, scripts: ScriptDirectory) -> NoReturn:
    version = packages.version("mlflow")
    try:
        scripts.get_revision(revision)
    except CommandError as error:
        raise StanceError(
            f"{path}: written by a newer MLflow (schema {revision} is unknown to {version}); install that MLflow "
            "or set tracking.uri to another file. Nothing was changed"
        ) from error
    raise StanceError(
        f"{path}: written by an older MLflow (schema {revision}, {version} needs "
        f"{scripts.get_current_head()}); back it up and run `mlflow db upgrade sqlite:///{path}`"
    )


def without_password(settings: Any) -> Any:
    """The settings of a run as they may be logged: an address among them may hold a password."""
    if isinstance(settings, Mapping):
        return {name: without_password(value) for name, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [without_password(value) for value in settings]
    return hidden(settings) if isinstance(settings, str) else settings


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


@contextmanager
def keeping(what: str) -> Iterator[None]:
    """Let the error of an object store that does not take or give a file be one of MLflow, which callers know.

    MLflow passes on what the store's client raises; boto3's errors and others' have no base but `Exception`. Python's
    own errors are mistakes of ours, but for a client that is not installed.

    Raises:
        MlflowException: instead of a client's error.
    """
    try:
        yield
    except (MlflowException, OSError):
        raise
    except Exception as error:
        if type(error).__module__ == "builtins" and not isinstance(error, ImportError):
            raise
        raise MlflowException(f"{what}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The first line of an error of MLflow; of a server that can't be reached, why."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    found = _CAUSE.search(line)
    return f"no answer ({found[1]}); is the server up and its address right?" if found else line


def scrubbed(text: object, uri: str = "") -> str:
    """`text`, such as an error, without the password that the address of MLflow's store, or `uri`, may hold."""
    address = uri or mlflow.get_tracking_uri()
    if not (given := password(address)):
        return hidden(str(text))
    there, secret = f":{given}@", unquote(given)
    said = hidden(str(text).replace(there, ":***@"))
    # Alone, in a message of a driver, only where it can't be taken for a user, a database or a common word.
    return said.replace(secret, "***") if len(secret) > 5 and secret not in address.replace(there, "@") else said
