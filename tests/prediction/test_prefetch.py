"""Prefetching: same items, same order, same errors, and no thread left behind."""

from __future__ import annotations

import gc
import threading
import traceback
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from xmsgl.prediction.prefetch import in_background, prefetch, tensors, to_device


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("xmsgl-prefetch")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert threads() == []


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_all_items_in_order(count, depth):
    assert list(in_background(iter(range(count)), depth=depth)) == list(range(count))


def test_none_is_an_item_like_others():
    assert list(in_background([None, 0, None])) == [None, 0, None]


def test_items_are_made_in_another_thread_and_nothing_before_the_first_is_asked_for():
    made = []

    def items():
        made.append(threading.current_thread())
        yield 1

    ahead = in_background(items())
    assert made == []
    assert threads() == []
    assert next(ahead) == 1
    assert made[0] is not threading.current_thread()
    ahead.close()


def test_runs_ahead_by_the_depth_and_no_further():
    made, reached = [], threading.Event()

    def items():
        for number in range(100):
            made.append(number)
            if number == 3:
                reached.set()  # 0 is taken, 1 and 2 wait, 3 is in the thread's hands
            yield number

    ahead = in_background(items(), depth=2)
    assert next(ahead) == 0
    assert reached.wait(60)
    for expected in range(1, 20):
        assert next(ahead) == expected
        assert len(made) <= expected + 4
    ahead.close()
    assert len(made) <= 24


def test_an_error_comes_in_its_place_with_its_traceback():
    def break_off():
        msg = "no more"
        raise LookupError(msg)

    def items():
        yield 1
        yield 2
        break_off()

    ahead = in_background(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(LookupError, match="no more") as caught:
        next(ahead)
    assert "break_off" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert list(ahead) == []


@pytest.mark.parametrize("taken", [0, 1, 5])
@pytest.mark.parametrize("end", ["close", "drop"])
def test_stopping_early_ends_the_thread(taken, end):
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    ahead = in_background(items())
    for _ in range(taken):
        next(ahead)
    if end == "close":
        ahead.close()
    del ahead
    assert threads() == []
    assert closed == ([True] if taken else [])  # what was drawn from is closed as well


def test_an_error_of_the_consumer_ends_the_thread():
    def draw():
        for item in in_background(iter(range(1000))):
            1 / (3 - item)

    with pytest.raises(ZeroDivisionError):
        draw()
    gc.collect()
    assert threads() == []


def test_a_generator_dropped_in_its_own_thread_does_not_wait_for_itself():
    holder, suspended, closed = [], threading.Event(), []

    def items():
        yield 1
        suspended.wait(60)
        holder[0].close()  # what the collector does when it runs in this thread
        closed.append(True)
        yield 2

    holder.append(in_background(items()))
    assert next(holder[0]) == 1
    suspended.set()
    for thread in threads():
        thread.join(60)
    assert closed == [True]


def test_draws_no_random_numbers():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    list(in_background(range(5)))
    assert torch.equal(torch.get_rng_state(), before)


def test_on_the_processor_it_is_map_and_needs_no_thread():
    where = []

    def put(item):
        where.append(threading.current_thread())
        return item * 10

    ahead = prefetch(iter(range(3)), put, torch.device("cpu"))
    assert where == []
    assert list(ahead) == [0, 10, 20]
    assert set(where) == {threading.current_thread()}


def test_tensors_are_found_wherever_they_are():
    @dataclass
    class Part:
        x: torch.Tensor | None
        name: str

    @dataclass
    class Whole:
        part: Part
        labels: dict[str, torch.Tensor]
        rest: tuple[object, ...]

    parts = [torch.tensor(number) for number in range(4)]
    whole = Whole(Part(parts[0], "a"), {"fine": parts[1]}, (1, [parts[2], None], parts[3]))
    assert [id(found) for found in tensors(whole)] == [id(part) for part in parts]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_to_device_keeps_values_type_and_on_the_processor_memory(dtype):
    values = np.arange(6).reshape(2, 3).astype(dtype)
    tensor = to_device(values, torch.device("cpu"))
    np.testing.assert_array_equal(tensor.numpy(), values, strict=True)
    values[0, 0] = 1
    assert bool(tensor[0, 0] == 1)


@pytest.mark.gpu
def test_a_gpu_gets_the_same_numbers():
    """Copies race with reads of memory just freed, if streams do not wait for one another."""
    device = torch.device("cuda")
    rng = np.random.default_rng(0)
    host = [rng.normal(size=(2000, 500)).astype(np.float32) for _ in range(30)]

    def put(values):
        return {"x": to_device(values, device), "where": torch.cuda.current_stream(device)}

    default, sums = torch.cuda.current_stream(device), []
    for made in prefetch(iter(host), put, device):
        assert made["where"] != default
        x = made["x"]
        assert x.device.type == "cuda"
        for _ in range(20):  # keep the stream busy while the next copies arrive
            x = x.sin()
        sums.append(x.sum(dtype=torch.float64))
        del x, made
    for values, total in zip(host, sums, strict=True):
        x = torch.from_numpy(values).to(device)
        for _ in range(20):
            x = x.sin()
        assert torch.equal(x.sum(dtype=torch.float64), total)
