import pytest


@pytest.fixture(autouse=True)
def _rendered(rendered):
    """Figures are what is tested here."""
