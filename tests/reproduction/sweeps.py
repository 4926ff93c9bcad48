"""Small sweeps that the tests of the room share."""

from rgacli.reproduction.reading import sweep_of


def sweep_with(**content):
    """A sweep of what a file would hold."""
    return sweep_of(content, "mine")[0]


def two_arms(**more):
    """Plain and PRM, what they are worth apart, and one averaged of both."""
    return sweep_with(
        arms={"plain": {"lambda0": 1}, "prm": {"ratios": "1:1,1:9"}}, combined={"both": ["plain", "prm"]}, **more
    )
