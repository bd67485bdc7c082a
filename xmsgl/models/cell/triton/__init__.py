"""The cell as Triton kernels, for GPUs."""
