"""The sound cell with one bug at a time: gradients, number formats, copies, executors."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seqlab.cells.base import NativeCell, NativeWeights, State
from tests.testing.sound import Sound, seen_by


@seen_by("check_gradients_reach_everything", "initial state 'h'")
class DetachesState(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        return super().step(p, {**state, "h": state["h"].detach()})


@seen_by("check_gradients_reach_everything", "parameter 'peephole'")
class HasIdleParameter(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.peephole = nn.Parameter(torch.zeros(4))


@seen_by("check_gradients_reach_everything", "in the rows [0, 1, 2, 3]")
class UsesOneGateTwice(Sound):
    def gates(self, p: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        _, g = super().gates(p, h)
        return torch.sigmoid(g), g


class _WrongSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        y = torch.tanh(a)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return gradients[0] * (1 - y)  # should be 1 − y²


class _OnceOnly(_WrongSlope):
    """Torch lets a second derivative through here, and it is wrong: the error waits on a branch that leads nowhere."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return gradients[0] * (1 - y**2)


class _Refusing(_WrongSlope):
    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("there is no second derivative")
        (y,) = ctx.saved_tensors
        return gradients[0] * (1 - y**2)


class _ConstantSlope(_WrongSlope):
    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return gradients[0] * (1 - y**2).detach()


class _Squashed(Sound):
    function: ClassVar[type[torch.autograd.Function]]

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        f, g = self.gates(p, state["h"])
        c = f * state["c"] + (1 - f) * g
        h = self.function.apply(self.scale * c)
        assert isinstance(h, Tensor)
        return h, {"h": h, "c": c}


@seen_by("check_gradcheck", "the central difference in float64")
class SlopesWrong(_Squashed):
    function = _WrongSlope


@seen_by("check_gradcheck", "gradient of x along")
class DetachesOneGate(Sound):
    def gates(self, p: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().gates(p, h.detach())[0], super().gates(p, h)[1]


@seen_by("check_double_backward", "cannot be differentiated again: there is no second derivative")
class RefusesSecondSlope(_Squashed):
    function = _Refusing


@seen_by("check_double_backward", "second derivative by")
class SlopesOnce(_Squashed):
    function = _OnceOnly


@seen_by("check_double_backward", "second derivative by")
class SlopesConstantly(_Squashed):
    function = _ConstantSlope


@seen_by("check_dtypes", "expected torch.float64")
class CastsToFloat32(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        return h.float(), {**new, "h": h.float()}


@seen_by("check_dtypes", "to changes of x by 1e-7")
class RoundsToFloat32(Sound):
    def project(self, x: Tensor) -> Any:
        return super().project(x).float().to(x.dtype)


@seen_by("check_dtypes", "in torch.bfloat16 has dtype torch.float32")
class MakesFloat32(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        kept = torch.full((h.shape[0], 1), 0.9)
        return h, {**new, "c": new["c"] * kept}


@seen_by("check_autocast", "raised RuntimeError")
class NeedsOneDtype(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        f, g = self.gates(p, state["h"])
        c = torch.lerp(g, state["c"], f)  # under autocast g is bfloat16 and c is not
        h = torch.tanh(self.scale * c)
        return h, {"h": h, "c": c}


@seen_by("check_round_trip", "with the state_dict loaded")
class LosesBuffer(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", self.scale, persistent=False)


@seen_by("check_round_trip", "cannot be copied")
class KeepsGraph(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.doubled = 2 * self.bias


@seen_by("check_instances_are_separate", "class attribute 'UpdatesDefaults.defaults'")
class UpdatesDefaults(Sound):
    defaults: ClassVar[dict[str, float]] = {"slope": 1.0}

    def __init__(self) -> None:
        super().__init__()
        self.defaults.update({"slope": 1.0})


@seen_by("check_instances_are_separate", "attribute 'sizes'")
class SharesArgument(Sound):
    def __init__(self, sizes: list[int] = []) -> None:  # noqa: B006 the bug
        super().__init__()
        self.sizes = sizes


_zeros: State = {}


@seen_by("check_instances_are_separate", "after another instance was altered")
class SharesInitialState(Sound):
    def initial_state(self, batch_size: int) -> State:
        for name, leaf in super().initial_state(batch_size).items():
            _zeros.setdefault(f"{name}{batch_size}{leaf.dtype}", leaf)
        return {name: _zeros[f"{name}{batch_size}{self.bias.dtype}"] for name in self.state_shapes}


class _Tanh(NativeCell):
    """The simple recurrent network, which a kernel of torch.nn has."""

    def __init__(self) -> None:
        super().__init__(3, 4, {"h": (4,)}, output_key="h")
        self.input_weight = nn.Parameter(torch.empty(4, 3).uniform_(-1, 1))
        self.recurrent_weight = nn.Parameter(torch.empty(4, 4).uniform_(-1, 1))
        self.bias = nn.Parameter(torch.empty(4).uniform_(-1, 1))

    def project(self, x: Tensor) -> Any:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + state["h"] @ self.recurrent_weight.T)
        return h, {"h": h}


@seen_by("check_executors_agree", "output on executor 'native'")
class TransposesForKernel(_Tanh):
    def native_weights(self) -> NativeWeights | str:
        return NativeWeights("rnn_tanh", self.input_weight, self.recurrent_weight.T.contiguous(), self.bias, torch.zeros_like(self.bias))


@seen_by("check_executors_agree", "gradient of parameter 'bias'")
class DetachesForKernel(_Tanh):
    def native_weights(self) -> NativeWeights | str:
        return NativeWeights("rnn_tanh", self.input_weight, self.recurrent_weight, self.bias.detach(), torch.zeros_like(self.bias))
