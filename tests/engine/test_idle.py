"""What the engine measures of itself, and when."""

from __future__ import annotations

import pytest

from amulet_local.engine.idle import Idle
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.load_defaults import Autotuned


class Costs:
    """Block costs that take three trials. fault: what a trial raises."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.trials, self._fault = 0, fault

    @property
    def table(self) -> tuple[float, ...]:
        return (1.0,) if self.trials else ()

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


class Search:
    """A search for settings of three measurements. left: how many are still to be made."""

    best = Autotuned("one-context", 2, "on", 512)

    def __init__(self) -> None:
        self.left = 3
        self.stopped = self.closed = False

    @property
    def over(self) -> bool:
        return self.left == 0

    def go_on(self) -> None:
        if self.stopped:
            raise AbortedError
        self.left -= 1

    def abort(self) -> None:
        self.stopped = True

    def resume(self) -> None:
        self.stopped = False

    def close(self) -> None:
        self.closed = True


def test_settings_are_sought_behind_the_first_table_and_kept_once_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("psutil.cpu_percent", lambda: 0.0)
    costs, search = Costs(), Search()
    kept: list[Autotuned] = []
    idle = Idle(costs, search, kept.append)  # type: ignore[arg-type]
    idle.abort()
    with pytest.raises(AbortedError):
        idle.use(lambda: True)
    assert (costs.trials, search.left, kept) == (1, 3, [])  # the table comes first
    idle.resume()
    free = iter([True, True, False])
    idle.use(lambda: next(free))
    assert (search.left, kept) == (1, [])
    idle.close()
    assert search.closed
    idle.use(lambda: True)
    assert (costs.trials, kept) == (3, [Search.best])
    assert not idle.wanted


def test_a_command_ends_it_and_a_fault_ends_it_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AbortedError):
        used(Costs(AbortedError()), monkeypatch, 0.0)
    assert not used(Costs(ValueError("no such block")), monkeypatch, 0.0).wanted
