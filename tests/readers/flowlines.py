"""A small network of NHDPlus flowlines, drawn by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

#   1 --2--3-- 4 --5          2 divides: 3 (main) and 6 (minor), 7 goes on from 6 and comes back at 4
#        \-6--7-/             8 joins 7 from aside where `tributary` is there; 9 is the coast
NETWORK = pd.DataFrame(
    {
        "COMID": [1, 2, 3, 4, 5, 6, 7],
        "LENGTHKM": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        "Hydroseq": [70.0, 60.0, 50.0, 20.0, 10.0, 40.0, 30.0],
        "DnHydroseq": [60.0, 50.0, 20.0, 10.0, 0.0, 30.0, 20.0],
        "FromNode": [1.0, 2.0, 3.0, 4.0, 5.0, 3.0, 6.0],
        "ToNode": [2.0, 3.0, 4.0, 5.0, 7.0, 6.0, 4.0],
        "Divergence": [0, 0, 1, 0, 0, 2, 0],
    }
)
LINKS = [2, 3, 4, 5, 0, 7, 4]
COAST = {
    "COMID": 9,
    "LENGTHKM": 1.0,
    "Hydroseq": 5.0,
    "DnHydroseq": 0.0,
    "FromNode": 7.0,
    "ToNode": 9.0,
    "Divergence": 0,
}


def links(ds):
    return dict(zip(ds["fine"].values.tolist(), ds["downstream_fine"].values.tolist(), strict=True))


STATICS = pd.DataFrame(
    {
        "comid": [7, 6, 5, 4, 3, 2, 1],
        "slope": [-9998.0, 0.06, 0.05, 0.04, 0.03, np.nan, 0.01],
        "maxelevsmo": [700, 600, 500, 400, -9998, 200, 100],
        "minelevsmo": [600, 500, 400, -9998, 200, 100, 0],
        "totdasqkm": [7.0, 6.0, -9999.0, 4.0, 3.0, 2.0, 1.0],
        "streamorde": [1, 1, 2, 2, -9, 2, 0],
        "lengthkm": 99.0,
    }
)
