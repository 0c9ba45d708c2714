"""Where runs are kept."""

from dataclasses import dataclass


@dataclass
class TrackingConfig:
    """Where MLflow keeps runs and models."""

    uri: str = "sqlite:///mlruns/mlflow.db"
    """MLflow tracking URI: sqlite:///FILE, another database, or http://HOST:PORT."""
    artifacts: str = "mlruns/artifacts"
    """Directory or URL for the files of a new experiment; a server (http) has a place of its own instead of a
    directory."""
    experiment: str = "stance"
    """Name of the experiment."""
    model: str = "stance"
    """Name under which exported models are registered."""
    system_metrics_seconds: float = 5.0
    """Seconds between two readings of CPU, memory and GPU; 0 takes none."""
