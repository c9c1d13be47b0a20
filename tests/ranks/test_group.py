"""What ranks tell each other, with threads in the place of processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from seqlab.ranks.agreement import agree
from seqlab.ranks.group import ALONE, FirstRankStopped, Group, joined
from tests.train.conftest import small_config


class Threads:
    """`size` ranks of one process."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.meeting = threading.Barrier(size, timeout=5)
        self.given: list[Any] = [None] * size
        self.raised: list[BaseException | None] = [None] * size

    def run(self, work: Callable[[Group], None]) -> list[BaseException | None]:
        """What each rank raised in `work`."""

        def start(rank: int) -> None:
            try:
                work(ThreadRank(rank, self))
            except BaseException as error:
                self.raised[rank] = error

        threads = [threading.Thread(target=start, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.raised


class ThreadRank(Group):
    def __init__(self, rank: int, threads: Threads) -> None:
        super().__init__(rank, threads.size)
        self.threads = threads

    def gather(self, value: Any) -> list[Any]:
        self.threads.given[self.rank] = value
        self.threads.meeting.wait()
        found = list(self.threads.given)
        self.threads.meeting.wait()
        return found

    def from_first(self, value: Any) -> Any:
        return self.gather(value)[0]


def test_equal_configs_agree() -> None:
    def work(ranks: Group) -> None:
        ranks.agree({"cell": {"name": "lstm", "sizes": [1, 2]}, "seed": 0, "rate": float("nan")})

    assert Threads(2).run(work) == [None, None]


def test_the_first_key_that_differs_is_named_with_the_ranks_and_their_values() -> None:
    def work(ranks: Group) -> None:
        ranks.agree({"seed": 0, "optimizer": {"lr": 0.0677 if ranks.rank == 1 else 0.007}, "tags": []})

    raised = Threads(3).run(work)
    for error in raised:
        assert isinstance(error, ValueError)
        assert "optimizer.lr differs (ranks 0, 2: 0.007; rank 1: 0.0677)" in str(error)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"a": [1, 2], "b": {}}, "b differs (rank 0: null; rank 1: {})"),
        ({"a": [1, 2]}, "b differs (rank 0: null; rank 1: absent)"),
        ({"a": [1, 3], "b": None}, "a.1 differs (rank 0: 2; rank 1: 3)"),
        ({"a": [1, 2, 3], "b": None}, "a.2 differs (rank 0: absent; rank 1: 3)"),
        ({"a": [True, 2], "b": None}, "a.0 differs (rank 0: 1; rank 1: true)"),
    ],
)
def test_every_difference_is_seen(other: dict[str, Any], said: str) -> None:
    one = {"a": [1, 2], "b": None}
    gathered = iter([["digest", "another"], [one, other]])
    with pytest.raises(ValueError, match="the ranks do not have the same config") as refused:
        agree(one, lambda own: next(gathered))
    assert said in str(refused.value)


def test_the_first_rank_goes_first() -> None:
    order: list[int] = []

    def work(ranks: Group) -> None:
        with ranks.first_goes_first():
            order.append(ranks.rank)

    assert Threads(3).run(work) == [None, None, None]
    assert order[0] == 0
    assert sorted(order) == [0, 1, 2]


def test_what_the_first_rank_refuses_no_other_begins() -> None:
    begun: list[int] = []

    def work(ranks: Group) -> None:
        with ranks.first_goes_first():
            begun.append(ranks.rank)
            raise ValueError("no such file")

    raised = Threads(2).run(work)
    assert begun == [0]
    assert isinstance(raised[0], ValueError)
    assert isinstance(raised[1], FirstRankStopped)


def test_a_process_alone_is_a_group_and_no_rank_where_ranks_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "TORCHELASTIC_RUN_ID", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with joined(small_config().trainer) as ranks:
        assert ranks is ALONE
        assert ranks.is_first
        assert ranks.gather(3) == [3]
        ranks.agree({"seed": 0})
        ranks.wait()
    with pytest.raises(ValueError, match="asks for 2 processes, and this one was not started as one"), joined(small_config("trainer=ddp").trainer):
        pass
