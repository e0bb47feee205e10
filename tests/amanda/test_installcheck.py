"""Upstream's own tests give the same results with the patches as without.

upstream.txt has the results without, as upstream does not change. It was made by
    AMRELAY=upstream scripts/test-amanda.sh tests/amanda/test_installcheck.py
    cat build/run/upstream-tests/installcheck/*.txt >tests/amanda/installcheck/upstream.txt
"""

from pathlib import Path

import pytest

from harness.installation import Installation
from harness.installcheck import TESTS, Installcheck

_EXPECTED = Path(__file__).parent / "installcheck/upstream.txt"


@pytest.fixture(scope="module")
def kept(installed: Installation) -> Path:
    """The folder for the results and the tests' output."""
    directory = installed.kept / "installcheck"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@pytest.mark.parametrize("name", TESTS)
def test_upstreams_own_test(amanda, kept, name):
    result, printed = Installcheck(amanda).run(name)
    (kept / f"{name}.log").write_text(printed)
    (kept / f"{name}.txt").write_text(result + "\n")
    wanted = next((line for line in _EXPECTED.read_text().splitlines() if line.startswith(f"{name}: ")), "nothing is known of it")
    assert result == wanted, printed[-3000:]
