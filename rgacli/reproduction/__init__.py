"""Sweeps: the paper's tables and figures, or others, run as jobs and judged by claims that were written before."""
