"""Benchmarks: ``python -m benchmarks.run``, from the top of the checkout."""
