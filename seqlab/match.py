"""`match=params`: the hidden_size with which a model has a given number of parameters, so that cells are compared at equal budgets."""

from __future__ import annotations

import logging
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from seqlab.build import build_model
from seqlab.data.base import DataSpec

log = logging.getLogger("seqlab")
NARROWEST = 2  # the norm of a single entry is constant: some cells take no 1
WIDEST = 2**20  # no model of this house is wider; a budget that asks for more is a slip
MADE_OF_IT = ("encoder.cell", "head.layers.cell")  # where a config says ${cell}; one that was resolved for another process has copies there


def match_parameters(config: DictConfig, spec: DataSpec) -> bool:
    """Set cell.hidden_size, and match.parameters to the budget, as `config.match` says. Returns whether there was anything to match.

    Raises ValueError when the cell has no hidden_size, when the encoder is made of other cells or nothing of `cell`, and when the budget lies
    below what the rest of the model has with a hidden_size of NARROWEST.
    """
    if config.match is None:
        return False
    if "hidden_size" not in config.cell:
        raise ValueError(f"match=params needs a cell with hidden_size, and the config of {config.cell.name!r} has none. Leave match out.")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if plain["encoder"].get("cell", plain["cell"]) != plain["cell"]:
        raise ValueError("match=params solves cell.hidden_size, but encoder.cell names cells of its own. Leave match or encoder.cell out.")
    if not (made_of_it := places(config)):
        raise ValueError("match=params solves cell.hidden_size, but neither the encoder nor the head is made of the cell. Leave match out.")
    asked, budget = plain["match"], plain["match"]["parameters"]
    if budget is None:
        budget = count(config, spec, {"_target_": "seqlab.make_cell", "_partial_": True, "name": asked["cell"], "hidden_size": asked["hidden_size"]})
    size = solve(config, spec, budget)
    config.match = {**asked, "parameters": budget}
    for key in ("cell", *made_of_it):
        OmegaConf.select(config, key).hidden_size = size  # one dict where it says ${cell}
    found = count(config, spec, config.cell)
    log.info(f"match=params: {config.cell.name} gets hidden_size={size}, for {found:,} parameters; the budget is {budget:,} ({found / budget - 1:+.2%})")
    return True


def solve(config: DictConfig, spec: DataSpec, budget: int) -> int:
    """The hidden_size whose number of parameters is nearest to the budget; the number grows with it."""
    cell: Any = OmegaConf.to_container(config.cell, resolve=True)

    def at(size: int) -> int:
        return count(config, spec, {**cell, "hidden_size": size})

    least = at(NARROWEST)
    if least > budget:
        raise ValueError(f"match.parameters is {budget:,}, but with hidden_size={NARROWEST} the model has {least:,} already. Raise the budget.")
    low, high = NARROWEST, 2 * NARROWEST
    while at(high) <= budget:
        low, high = high, 2 * high
        if high > WIDEST:
            raise ValueError(f"match.parameters is {budget:,}; no hidden_size up to {WIDEST:,} reaches it with cell {config.cell.name!r}. Lower the budget.")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle) <= budget else (low, middle)
    return low if budget - at(low) <= at(high) - budget else high


def places(config: DictConfig) -> list[str]:
    """Which of MADE_OF_IT hold the cell, itself or a copy."""
    return [key for key in MADE_OF_IT if OmegaConf.select(config, key) == config.cell]


def count(config: DictConfig, spec: DataSpec, cell: Any) -> int:
    """The parameters of the model with another cell in it. No memory is taken for them."""
    trial: Any = OmegaConf.create(OmegaConf.to_container(config, resolve=False))  # pyright: ignore[reportArgumentType]
    for key in ("cell", *places(config)):
        OmegaConf.update(trial, key, cell, merge=False)
    with torch.device("meta"):
        model = build_model(trial, spec)
    return sum(parameter.numel() for parameter in model.parameters())
