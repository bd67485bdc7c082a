"""Speed and accuracy, measured by hand; `make bench` runs the suites ``bench_*.py``."""
