"""Where Hydra looks for sweepers: it takes none from another package than `hydra_plugins`. Optuna is imported when a study begins."""

from seqlab.sweep.study import StudySweeper


class OptunaSweeper(StudySweeper):
    """hydra/sweeper=optuna_study."""
