"""Catalogs for intake: where they lie, the entries they hold, and the drivers and readers behind them."""
