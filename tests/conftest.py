"""Options of the simulation, and the rule that nothing is skipped where everything is installed."""

import os

import pytest

SEEDS_DEFAULT = 12


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=SEEDS_DEFAULT, help="simulate so many bad days")
    parser.addoption("--seed", type=int, default=None, help="replay this one bad day")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        one = metafunc.config.getoption("--seed")
        many = metafunc.config.getoption("--seeds")
        metafunc.parametrize("seed", range(many) if one is None else [one])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Where everything is installed (CI), a skipped test is a failed one.

    The recordings of the exchange lie beside a developer's checkout only; tests that read them
    skip elsewhere, and say so.
    """
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr)
        if "captures" not in reason:
            report.outcome = "failed"
            report.longrepr = f"skipped where nothing may be skipped: {reason}"
    return report
