"""What mmdet's tools/train.py and tools/test.py spell in another way, put in ours before it is parsed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import typer

_SETTINGS = "--cfg-options"
_ALIASES = {"--auto-scale-lr": "--scale-lr"}


def in_our_spelling(arguments: Sequence[str], parameters: Collection[str]) -> list[str]:
    """Return the arguments of a command, those in mmdet's spelling in ours.

    `--cfg-options a=1 b=2` becomes `--set a=1 --set b=2`, and `CONFIG CHECKPOINT` options of these names.

    Args:
        arguments: As they were given.
        parameters: Names of the command's own.

    Raises:
        typer.BadParameter: mmdet's option has no value.
    """
    if "checkpoint" in parameters and _names_checkpoint(arguments):
        arguments = ["--config", arguments[0], "--checkpoint", *arguments[1:]]
    if "settings" not in parameters:
        return list(arguments)
    words: list[str] = []
    previous = ""  # "--cfg-options", or one of its values
    for word in arguments:
        option, _, value = word.partition("=")
        if option == _SETTINGS:
            words += ["--set", value] if "=" in word else []
        elif previous and "=" in word and not word.startswith("-"):
            words += ["--set", word]
        elif previous == _SETTINGS:
            break
        else:
            words.append(_ALIASES.get(word, word))
            word = ""
        previous = word
    if previous == _SETTINGS:
        raise typer.BadParameter(f"{_SETTINGS} takes KEY=VALUE, one or several.")
    return words


def _names_checkpoint(arguments: Sequence[str]) -> bool:
    """Return whether the arguments begin as those of mmdet's tools/test.py do."""
    first = arguments[:2]
    return len(first) == 2 and first[1].endswith(".pth") and not any(word.startswith("-") for word in first)
