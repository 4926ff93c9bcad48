"""Configs: the bundled ones, reading any, and rewriting them for RGA, PRM, a schedule and a dataset."""
