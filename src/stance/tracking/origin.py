"""What a result comes from beside data and settings: the commit and the installed packages."""

import platform
import subprocess
from importlib import metadata as packages

PACKAGES = (
    "accelerate", "datasets", "evaluate", "hydra-core", "mlflow", "numpy", "onnx", "onnxruntime", "peft",
    "scikit-learn", "spacy", "stance", "tokenizers", "torch", "transformers",
)  # fmt: skip


def git_commit() -> tuple[str, bool]:
    """The commit of the working directory and whether files differ from it; `("unknown", False)` outside git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit, bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", False


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = packages.version(name)
        except packages.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
