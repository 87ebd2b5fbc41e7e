"""Reproduction suite for CMKD (arXiv 2410.06561)."""
