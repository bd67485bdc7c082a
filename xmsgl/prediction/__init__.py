"""From a trained model and a dataset to labelled temperatures of every reach."""
