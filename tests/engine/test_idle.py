"""What the engine measures of itself, and when."""

from __future__ import annotations

import pytest

from amulet_local.engine.idle import Idle
from amulet_local.runtime.llama.errors import AbortedError


class Costs:
    """Block costs that take three trials. fault: what a trial raises."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.trials, self._fault = 0, fault

    @property
    def unfinished(self) -> bool:
        return self.trials < 3

    def go_on(self) -> None:
        if self._fault:
            raise self._fault
        self.trials += 1


def used(costs: Costs, monkeypatch: pytest.MonkeyPatch, percent: float) -> Idle:
    monkeypatch.setattr("psutil.cpu_percent", lambda: percent)
    idle = Idle(costs)  # type: ignore[arg-type]
    idle.begin_waiting()
    idle.use(lambda: True)
    return idle


def test_a_machine_at_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs()
    idle = used(costs, monkeypatch, 3.0)
    assert costs.trials == 3
    assert not idle.wanted


def test_where_others_use_the_machine_it_is_put_off_for_longer_and_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs = Costs()
    idle = used(costs, monkeypatch, 60.0)
    before = idle.after_s
    for _ in range(20):
        idle.use(lambda: True)
    assert before < idle.after_s <= 60
    assert costs.trials == 0
    assert idle.wanted


def test_a_command_ends_it_and_a_fault_ends_it_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AbortedError):
        used(Costs(AbortedError()), monkeypatch, 0.0)
    assert not used(Costs(ValueError("no such block")), monkeypatch, 0.0).wanted
