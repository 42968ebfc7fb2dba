"""Trials without training, and a comparison without measuring."""

from pathlib import Path

import pytest
from made_comparison import SETUP, CopyingChildren, made_comparison

from liteport.benchmarks.comparing.results import Comparison
from liteport.benchmarks.comparing.setup import Setup


@pytest.fixture
def setup() -> Setup:
    return SETUP


@pytest.fixture
def children(tiny_run: Path, tiny_bundle: Path) -> CopyingChildren:
    return CopyingChildren(tiny_run, tiny_bundle)


@pytest.fixture
def comparison() -> Comparison:
    return made_comparison()
