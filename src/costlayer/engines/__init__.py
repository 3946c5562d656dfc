"""Engines: each runs the same formulas over arrays. `lower` makes the program, an engine brings the words."""
