"""From labelled arrays to the plain arrays a model reads: features, scaling, windows, batches."""
