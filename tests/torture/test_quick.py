"""The quick part of the torture; all of it is `make torture`."""

from __future__ import annotations

import pytest

from tests.torture.part import parts

pytestmark = pytest.mark.slow

SEED = 0
QUICK = {name: part for name, part in parts().items() if part.quick}


@pytest.mark.parametrize("name", QUICK)
def test_the_first_cases_end_well(name: str) -> None:
    part = QUICK[name]
    for number in range(part.quick):
        try:
            part.case(SEED, number)
        except Exception as error:
            pytest.fail(f"case {number} of seed {SEED}: {error!r}")
