"""River networks on plain arrays: topology, neighbours, kernels, graphs, crosswalk."""
