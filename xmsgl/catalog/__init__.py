"""Catalogs for intake: their files, their entries, and the drivers and readers behind them."""
