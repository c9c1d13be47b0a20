"""Where metrics go besides metrics.csv. A logger of the config is called with the run's directory, resolved config and tags."""

from __future__ import annotations

import logging
import netrc
import os
import secrets
import threading
import urllib.error
import urllib.parse
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from seqlab.run_directory import write

log = logging.getLogger("seqlab")
WANDB_ID = "wandb_id.txt"  # in the run directory: a run that is resumed is the same run there


def tensorboard(directory: Path, config: dict[str, Any], tags: Sequence[str]) -> Logger:
    """Event files in DIR/tensorboard: tensorboard --logdir DIR."""
    return TensorBoardLogger(save_dir=directory, name="", version="tensorboard", default_hp_metric=False)


class Wandb(Logger):
    """Weights & Biases, which never stops a training: what fails there is said once, and the run goes on without it.

    Offline, into DIR/wandb, when there is no key or the server does not answer within `patience` seconds; `wandb sync`
    sends it later. WANDB_MODE, when set, decides instead.
    """

    def __init__(self, directory: Path, config: dict[str, Any], tags: Sequence[str], project: str, run_name: str | None = None, patience: float = 5.0) -> None:
        super().__init__()
        self.directory = directory
        self.run: Any = None
        self._settled = False
        self._options = {"project": project, "name": run_name or f"{directory.parent.name}/{directory.name}", "tags": list(tags), "config": config}
        self._patience = patience

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The config is given at the start."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if not self._settled:
            self._settled = True
            self._try("start", self._start)
        if self.run is not None:
            self._try("log", lambda: self.run.log({**metrics, "step": step}))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if status != "success":  # which Lightning says after training already, with the test still to come
            self.close(failed=True)

    def close(self, failed: bool) -> None:
        """End the run; nothing is logged after it."""
        run, self.run, self._settled = self.run, None, True
        if run is not None:
            self._try("finish", lambda: run.finish(exit_code=int(failed)))

    def _start(self) -> None:
        import wandb  # not at import time: it costs a second

        mode = os.environ.get("WANDB_MODE") or choose_mode(self._patience)
        settings = wandb.Settings(silent=True, console="off", init_timeout=30, finish_timeout=30)
        identity = self.directory / WANDB_ID
        if not identity.exists():
            write(identity, secrets.token_hex(4))
        again = {"id": identity.read_text(encoding="utf-8"), "resume": "allow" if mode == "online" else None}
        self.run = wandb.init(dir=self.directory, mode=mode, settings=settings, **again, **self._options)  # pyright: ignore[reportArgumentType]
        self.run.define_metric("*", step_metric="step")

    def _try(self, what: str, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:
            self.run = None
            log.warning("wandb could not %s (%s: %s); the training goes on without it, metrics.csv has everything", what, type(error).__name__, error)


def choose_mode(patience: float) -> str:
    """ "online", or "offline" with the reason in the log. Decided before wandb starts, which without a network blocks for 100 s."""
    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    if not has_key(server):
        reason = "there is no key (run `wandb login`, or set WANDB_API_KEY)"
    elif not answers(server, patience):
        reason = f"{server} does not answer"
    else:
        return "online"
    log.info("wandb runs offline: %s. `wandb sync DIR/wandb/offline-run-*` sends it later.", reason)
    return "offline"


def has_key(server: str) -> bool:
    """Whether wandb would find a key, in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(urllib.parse.urlsplit(server).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def answers(server: str, patience: float) -> bool:
    """Whether the server says anything at all, an error included, within `patience` seconds; proxies as the environment has them."""
    found = threading.Event()  # set from a thread, because a silent name server keeps no timeout

    def ask() -> None:
        try:
            urllib.request.urlopen(server, timeout=patience).close()
        except urllib.error.HTTPError:
            pass  # it is there
        except OSError:
            return
        found.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience)
    return found.is_set()
