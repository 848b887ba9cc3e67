"""Figures with goals and controls, one module a subject. `python -m benchmarks` writes docs/benchmarks.md."""
