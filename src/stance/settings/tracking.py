"""Where runs are kept."""

from dataclasses import dataclass


@dataclass
class TrackingConfig:
    """Where MLflow keeps runs and models."""

    uri: str = "sqlite:///mlruns/mlflow.db"
    """MLflow tracking URI: sqlite:///FILE, another database, or http://HOST:PORT."""
    artifacts: str = "mlruns/artifacts"
    """Where files of a new experiment go."""
    experiment: str = "stance"
    """Name of the experiment."""
    model: str = "stance"
    """Name under which exported models are registered."""
    system_metrics_seconds: float = 5.0
    """Interval of CPU, memory and GPU readings; 0 takes none."""
