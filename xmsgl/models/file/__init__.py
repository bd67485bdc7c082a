"""Models as files: storage, packaged models, model cards, intervals, and starting weights."""
