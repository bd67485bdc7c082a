"""Tables of three reaches, how tests write tables, and the values that messages advise."""

from __future__ import annotations

import csv
import re

import numpy as np
import pandas as pd

REACHES = pd.DataFrame(
    {
        "id": [30, 10, 20],
        "downstream": [np.nan, 20, 30],
        "length [m]": [500.0, 900.0, 400.0],
        "slope [m/m]": [0.001, 0.02, 0.01],
        "stream_order": [2, 1, 2],
        "lat": [40.0, 40.1, 40.2],
        "huc8": ["02040101", "02040101", "02040102"],
        "name": ["Mill Creek", None, "Mill Creek"],
    }
)
DAILY = pd.DataFrame(
    {
        "date": ["2001-03-02", "2001-03-01", "2001-03-04", "2001-03-04"],
        "id": [10, 30, 20, 10],
        "water_temperature [degC]": [4.5, 5.0, np.nan, 6.0],
        "air_temperature [degC]": [1.0, 2.0, 3.0, 4.0],
    }
)


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def advised_value(text, argument):
    """The value that a message advises for an argument."""
    code = re.search(rf"{argument}=(\{{.*?\}})", text).group(1)
    return eval(code)
