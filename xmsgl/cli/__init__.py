"""The command ``xmsgl``: the methods of ``ds.msgl`` for files."""
