"""What is wrong in the data is found before training, with split, row and step."""

import pytest
import torch
from omegaconf import OmegaConf

from seqlab.build import build_data
from seqlab.data.adding_problem import AddingProblem
from seqlab.data.base import DataSpec, Example, ExampleSplit, SequenceDataModule, TensorSplit
from seqlab.data.checks import check_splits


class Given(SequenceDataModule):
    """Splits as given."""

    def __init__(self, targets: str, **splits) -> None:
        super().__init__(batch_size=2)
        self.kind = targets
        self.splits = splits

    @property
    def spec(self) -> DataSpec:
        return DataSpec(inputs="features", input_size=2, targets=self.kind, output_size=3)


def ragged(*examples: tuple[torch.Tensor, torch.Tensor]) -> ExampleSplit:
    return ExampleSplit([Example(*e) for e in examples])


X = torch.zeros(3, 4, 2)


def with_value(value: float, *place: int) -> torch.Tensor:
    x = X.clone()
    x[place] = value
    return x


@pytest.mark.parametrize(
    ("kind", "split", "message"),
    [
        (
            "sequence",
            TensorSplit(with_value(float("nan"), 2, 1, 0), torch.zeros(3, dtype=torch.long)),
            r"the features of the val split hold nan in row 2, step 1, feature 0",
        ),
        (
            "sequence",
            TensorSplit(with_value(float("-inf"), 0, 3, 1), torch.zeros(3, dtype=torch.long)),
            r"features of the val split hold -inf in row 0, step 3, feature 1",
        ),
        ("sequence", TensorSplit(X, torch.tensor([0, 3, 2])), r"label 3 in row 1 of the val split is no class; expected 0\.\.2"),
        ("steps", TensorSplit(X, torch.tensor([[0, 1, 2, 0], [0, 0, 0, -1], [0, 0, 0, 0]])), r"label -1 in row 1, step 3 of the val split is no class"),
        ("values", TensorSplit(X, torch.tensor([[0.0], [float("nan")], [0.0]])), r"targets of the val split hold nan in row 1, value 0"),
        ("bits", TensorSplit(X, with_value(float("nan"), 1, 2, 0)), r"targets of the val split hold nan in row 1, step 2, bit 0"),
        (
            "sequence",
            ragged((X[0], torch.tensor(1)), (with_value(float("nan"), 0, 1, 1)[0, :2], torch.tensor(0))),
            r"val split hold nan in row 1, step 1, feature 1",
        ),
        ("sequence", ragged((X[0], torch.tensor(1)), (X[0, :2], torch.tensor(5))), r"label 5 in row 1 of the val split"),
    ],
)
def test_bad_values_are_named(kind, split, message) -> None:
    good = TensorSplit(X, {"sequence": torch.zeros(3, dtype=torch.long), "steps": torch.zeros(3, 4, dtype=torch.long)}.get(kind, torch.zeros(3, 1)))
    check_splits(Given(kind, train=good))
    with pytest.raises(ValueError, match=message):
        check_splits(Given(kind, train=good, val=split))


def test_labels_that_are_no_whole_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"labels of the train split have dtype torch.float32; expected whole numbers"):
        check_splits(Given("sequence", train=TensorSplit(X, torch.zeros(3))))


def test_building_data_from_a_config_looks_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def setup(data: AddingProblem, stage: str | None = None) -> None:
        data.splits = {"train": TensorSplit(with_value(float("nan"), 0, 0, 0), torch.zeros(3, 1))}

    monkeypatch.setattr(AddingProblem, "setup", setup)
    config = OmegaConf.create({"data": {"_target_": "seqlab.data.adding_problem.AddingProblem"}})
    with pytest.raises(ValueError, match="features of the train split hold nan in row 0, step 0"):
        build_data(config)
