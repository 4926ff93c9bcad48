import pytest


@pytest.fixture
def coarse(monkeypatch):
    """Saves figures with few pixels, which takes a third of the time."""
    monkeypatch.setattr("rgacli.analysis.figures._DPI", 30)
