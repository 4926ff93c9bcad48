"""Listing the bundled configs, or resolving one config of any origin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rgacli.config.catalogue import TABLES, CatalogueEntry, read_catalogue
from rgacli.errors import UsageError
from rgacli.wording import param


@dataclass(frozen=True)
class ConfigList:
    """Bundled configs.

    Attributes:
        configs: In the order of their names; of one table of the paper, each with its rows of that table alone.
    """

    configs: tuple[CatalogueEntry, ...]


@dataclass(frozen=True)
class ResolvedConfig:
    """A config with all that it inherits.

    Attributes:
        name: As it was asked for.
        values: Every setting, by key.
        text: The same as a config file that stands on its own.
    """

    name: str
    values: dict[str, Any]
    text: str


def configs(name: str | None = None, *, table: int | None = None) -> ConfigList | ResolvedConfig:
    """List the bundled configs with the results that they are to be held to, or resolve one config.

    Listing them takes neither torch nor mmdet.

    Args:
        name: A bundled config, one of mmdet's (mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py) or a file.
        table: List the configs of this table of the paper alone, 1 to 8.

    Returns:
        A ResolvedConfig with `name`, else a ConfigList.

    Raises:
        UsageError: there is no such config or table, the config cannot be read, or both are given.
    """
    if name is not None:
        if table is not None:
            raise UsageError(f"{param('table')} lists configs and {param('name')} shows one: give one of the two.")
        return _resolved(name)
    if table is not None and table not in TABLES:
        raise UsageError(f"{param('table', table)}: the paper has tables 1 to {max(TABLES)}.")
    entries = read_catalogue()
    if table is not None:
        entries = [replace(entry, paper=rows) for entry in entries if (rows := entry.rows(table))]
    return ConfigList(tuple(entries))


def _resolved(name: str) -> ResolvedConfig:
    from rgacli.config.files import load_config  # mmengine's, which the list does without

    cfg = load_config(name)
    return ResolvedConfig(name, cfg.to_dict(), cfg.pretty_text)
