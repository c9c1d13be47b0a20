"""Runs that differ in nothing but their seed are one row: which cell on which data, and what else tells it from the others. Where the
source of a cell was edited between two runs, they are two."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from seqlab import run_directory
from seqlab.registry import unknown
from seqlab.report.collect import Run
from seqlab.report.statistics import bootstrap_interval
from seqlab.sweep import job_hash

Flat = dict[str, str]  # the config of a run: dotted key -> value as text
# on what is compared; a job of a sweep that differs in one of the last is another job, though
WITHOUT_EFFECT = (*job_hash.WITHOUT_EFFECT, "seed", "ckpt_path", "callbacks.record", "callbacks.gradient")
SOURCE = "source"  # of the code, beside the keys of the config
COPIES = {"encoder.cell": "cell", "encoder.wrappers": "wrap", "encoder.initialise": "init"}  # of what stands at the top of the config


@dataclass
class Row:
    """Runs of one config with different seeds. points: {seed: (value of the metric, run)}, by seed."""

    cell: str
    data: str
    settings: str  # what tells it from other rows of the same cell and data
    metric: str
    mode: str  # min or max: which values of the metric are better; empty when the config does not say
    points: dict[int, tuple[float, Run]]

    @property
    def name(self) -> str:
        return f"{self.cell} {self.settings}".strip()

    @property
    def values(self) -> list[float]:
        return [value for value, _ in self.points.values()]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        return bootstrap_interval(self.values)

    def average(self, key: str) -> float | None:
        """The mean of a figure of the summaries over the runs that have it."""
        found = [run.summary[key] for _, run in self.points.values() if isinstance(run.summary.get(key), (int, float))]
        return fmean(found) if found else None

    @property
    def parameters(self) -> str:
        """Of the model; a range when the runs differ, as with vocabularies that depend on the seed."""
        counts = sorted({run.summary["parameters"] for _, run in self.points.values() if "parameters" in run.summary})
        return "" if not counts else f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


@dataclass
class Report:
    """Rows, sorted by data and then by the metric, best first where that is known; and (run, why) for each run that is in none of them."""

    rows: list[Row]
    left_out: list[tuple[Run, str]] = field(default_factory=list)


def make_report(runs: Sequence[Run], metric: str | None = None) -> Report:
    """Group the finished runs. metric: of all runs; by default for each the test figure of what it monitors.

    Raises ValueError when no finished run has the metric.
    """
    left_out = [(run, run.problem) for run in runs if run.problem]
    groups: dict[tuple[str, str, str], dict[int, tuple[float, Run]]] = {}
    for run in (run for run in runs if not run.problem):
        name = metric or default_metric(run)
        value = run.summary["metrics"].get(name)
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            left_out.append((run, f"{name} is {value}" if name in run.summary["metrics"] else f"has no {name}"))
            continue
        seed = run.config.get("seed")
        if not isinstance(seed, int):
            left_out.append((run, f"its seed is {seed}; expected a whole number"))
            continue
        points = groups.setdefault((json.dumps(flatten(run.config), sort_keys=True), run.source, name), {})
        if seed in points:
            earlier, later = sorted((points[seed], (value, run)), key=lambda point: (written(point[1]), str(point[1].directory)))
            left_out.append((earlier[1], f"seed {seed} of the same config is there again, in {later[1].directory}"))
            points[seed] = later
        else:
            points[seed] = (value, run)
    if not groups:
        _nothing(runs, metric, left_out)
    return Report(_named(groups), sorted(left_out, key=lambda one: str(one[0].directory)))


def _nothing(runs: Sequence[Run], metric: str | None, left_out: Sequence[tuple[Run, str]]) -> None:
    """Raise the ValueError that says why there is no row."""
    finished = [run for run in runs if not run.problem]
    known = sorted({name for run in finished for name in run.summary["metrics"]})
    if metric is not None and known and metric not in known:
        raise ValueError(unknown("metric", metric, known))
    first = "; ".join(f"{run.directory}: {why}" for run, why in left_out[:3])
    more = "; …" if len(left_out) > 3 else ""
    raise ValueError(f"none of the {len(runs)} runs has a figure to report ({first}{more}). Let one finish, or choose another --metric.")


def default_metric(run: Run) -> str:
    """test/x for a run that monitors val/x, or what it monitors when the test has no such figure."""
    monitor = str(run.summary.get("monitor") or run.config.get("monitor", "val/loss"))
    tested = f"test/{monitor.partition('/')[2]}"
    return tested if tested in run.summary["metrics"] else monitor


def written(run: Run) -> float:
    """When the run's summary was written."""
    return (run.directory / run_directory.SUMMARY).stat().st_mtime


def flatten(config: Mapping[str, Any]) -> Flat:
    """What decides a result, each value once: without the seed, what only shows or records, and copies of other keys."""
    top = {key: value for key, value in config.items() if not isinstance(value, (dict, list))}
    plain = dict(config)
    encoder = dict(plain.get("encoder") or {}) if isinstance(plain.get("encoder"), dict) else {}
    for copy, original in COPIES.items():
        leaf = copy.partition(".")[2]
        if leaf in encoder:
            if encoder[leaf] == plain.get(original):
                del encoder[leaf]
            else:
                plain.pop(original, None)  # encoder.cell=[lstm,gru]: then cell is read by nobody
    if encoder:
        plain["encoder"] = encoder
    flat: Flat = {}
    for key, value in _leaves(plain, ""):
        leaf = key.rpartition(".")[2]
        copied = leaf != key and leaf in top and top[leaf] == value
        if not copied and leaf != "directory" and not any(key == name or key.startswith(f"{name}.") for name in WITHOUT_EFFECT):
            flat[key] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat


def _leaves(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def cell_name(config: Mapping[str, Any]) -> str:
    """The name of the cell; of a stack of different ones all, as in lstm+gru."""
    encoder = config.get("encoder")
    cell = encoder.get("cell") if isinstance(encoder, dict) and "cell" in encoder else config.get("cell")
    names = [str(one.get("name", one.get("_target_", "?"))) if isinstance(one, dict) else str(one) for one in (cell if isinstance(cell, list) else [cell])]
    return "+".join(names)


def data_name(config: Mapping[str, Any]) -> str:
    """The name of the data set's config, which is that of its class's file; of a plugin's data set the class."""
    target = str(config["data"].get("_target_", "?")) if isinstance(config["data"], dict) else "?"
    return target.split(".")[2] if target.startswith("seqlab.data.") else target.rpartition(".")[2]


def _named(groups: Mapping[tuple[str, str, str], dict[int, tuple[float, Run]]]) -> list[Row]:
    """A row for each group, with the fewest words that tell it from the others."""
    kinds = [(metric, points, next(iter(points.values()))[1]) for (_, _, metric), points in groups.items()]
    flats = [flatten(run.config) | {SOURCE: run.source} for _, _, run in kinds]
    data = [data_name(run.config) for _, _, run in kinds]
    for same in _alike(data):
        of_data = [{key: value for key, value in flats[i].items() if key.startswith("data.")} for i in same]
        for i, words in zip(same, distinguish(of_data), strict=True):
            data[i] = " ".join([data[i], *(word.removeprefix("data.") for word in words)])
    cells = [cell_name(run.config) for _, _, run in kinds]
    settings = [""] * len(kinds)
    for same in _alike(list(zip(cells, data, strict=True))):
        for i, words in zip(same, distinguish([flats[i] for i in same]), strict=True):
            settings[i] = " ".join(words)
    rows = []
    for i, (metric, points, run) in enumerate(kinds):
        rows.append(Row(cells[i], data[i], settings[i], metric, mode_of(metric, run.config), dict(sorted(points.items()))))
    return sorted(rows, key=lambda row: (row.data, row.metric, {"min": row.mean, "max": -row.mean}.get(row.mode, 0.0), row.name))


def mode_of(metric: str, config: Mapping[str, Any]) -> str:
    """Which values are better: of a loss the low ones, of what the run monitors those that its config says."""
    if metric.endswith("loss"):
        return "min"
    monitored = str(config.get("monitor", "")).partition("/")[2]
    return str(config.get("mode", "")) if metric.partition("/")[2] == monitored else ""


def _alike(names: Sequence[Any]) -> list[list[int]]:
    """The places of equal names."""
    places: dict[Any, list[int]] = {}
    for i, name in enumerate(names):
        places.setdefault(name, []).append(i)
    return list(places.values())


def distinguish(configs: Sequence[Flat]) -> list[list[str]]:
    """For each config the KEY=VALUE that tell it from the others; of another class its name, and not all of its options."""
    keys = dict.fromkeys(key for config in configs for key in config)
    words: list[list[str]] = [[] for _ in configs]
    seen: set[tuple[str | None, ...]] = set()
    for key in sorted(keys, key=lambda key: (not key.endswith("_target_"), key.count("."))):
        column = tuple(config.get(key) for config in configs)
        shown = [i for i, config in enumerate(configs) if key in config and len({peer.get(key) for peer in _peers(config, configs, key)}) > 1]
        if not shown or column in seen:
            continue
        seen.add(column)
        for i in shown:
            value = str(column[i])
            words[i].append(f"{key.removesuffix('._target_')}={value.rpartition('.')[2] if key.endswith('_target_') else value}")
    return words


def _peers(config: Flat, configs: Iterable[Flat], key: str) -> list[Flat]:
    """The configs in which the key is an option of the same class."""
    above = key.rpartition(".")[0] if key.endswith("._target_") else key
    while "." in above:
        above = above.rpartition(".")[0]
        if f"{above}._target_" in config:
            return [other for other in configs if other.get(f"{above}._target_") == config[f"{above}._target_"]]
    return list(configs)
