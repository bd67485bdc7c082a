"""Models as files: what is stored, the packaged ones, their cards, intervals, and starting weights."""
