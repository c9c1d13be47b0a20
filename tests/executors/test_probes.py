"""That a trial library loads is asked once and kept on disk; that it does not is asked again."""

from pathlib import Path

import pytest

pytest.importorskip("torch._inductor.cpu_vec_isa")
from torch._inductor.cpu_vec_isa import VecISA

from seqlab.executors.compiled import inductor


@pytest.mark.parametrize(("answer", "asked"), [(True, 1), (False, 3)])
def test_a_yes_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, asked: int) -> None:
    calls = []
    monkeypatch.setattr(VecISA, "_probe_load", lambda self, library: calls.append(library) or answer)
    inductor.remember_probes.__wrapped__()
    library = str(tmp_path / "trial.so")
    assert [VecISA._probe_load(None, library) for _ in range(3)] == [answer] * 3  # type: ignore[arg-type]
    assert calls == [library] * asked
    assert VecISA._probe_load(None, str(tmp_path / "other.so")) is answer  # type: ignore[arg-type]
    assert len(calls) == asked + 1
