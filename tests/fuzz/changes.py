"""Random changes of bytes and of plain values (dicts, lists, numbers, texts)."""

from __future__ import annotations

import copy

from hypothesis import strategies as st

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 400),
    st.sampled_from([10**6, 2**31, 2**63, -(2**70), 1e-300, 1e300, -0.5]),
    st.floats(-10, 10),
    st.sampled_from(["", "fine", "trees", "2001-10-01", "\x1b[31m", "<b>", "air_temperature"]),
    st.sampled_from([[], [1], [[]], ["a"], {}, {"a": 1}, {"name": "gaussian"}]),
)
NUMBERS = [
    bytes(8),
    b"\xff" * 8,
    b"\x7f" + b"\xff" * 7,
    (2**31 - 1).to_bytes(4, "little"),
    b"\x01" + bytes(7),
]


def change(draw, header, values=VALUES):
    """Replace, remove or add something at a random place of a header."""
    parent, last, value = None, None, header
    while isinstance(value, dict | list) and value and (parent is None or draw(st.integers(0, 5))):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        parent, last = value, draw(st.sampled_from(keys))
        value = parent[last]
    kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
    new = copy.deepcopy(draw(values))
    if kind == "replace":
        parent[last] = new
    elif kind == "remove":
        del parent[last]
    elif isinstance(parent, dict):
        parent["foreign"] = new
    else:
        parent.append(new)


def change_bytes(draw, payload):
    """Overwrite, insert, remove or repeat bytes at some places."""
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(payload)))
        kind = draw(st.sampled_from(["write", "write", "number", "insert", "remove", "repeat", "end"]))
        new = draw(st.sampled_from(NUMBERS) if kind == "number" else st.binary(min_size=1, max_size=8))
        span = draw(st.integers(1, 64))
        old, rest = payload[at : at + span], payload[at + span :]
        if kind in ("write", "number"):
            payload = payload[:at] + new + payload[at + len(new) :]
        elif kind == "insert":
            payload = payload[:at] + new + payload[at:]
        else:
            payload = payload[:at] + {"remove": rest, "repeat": 2 * old + rest, "end": b""}[kind]
    return payload
