"""The command ``xmsgl``: the verbs of ``ds.msgl`` for files and shells."""
