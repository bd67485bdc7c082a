"""The process model against closed forms, energy balances and a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xmsgl.errors import CycleError, InvalidArgumentError
from xmsgl.simulate import StreamParameters, canopy_shade, equilibrium_temperature, stream_temperature
from xmsgl.simulate.loops import HEAT_CAPACITY

DAYS = 60


def steady(n: int, value: float = 18.0, days: int = DAYS) -> np.ndarray:
    return np.full((days, n), value)


def plain_model(  # one day, one reach after the other; written from the equations alone
    down,
    length,
    width,
    slope,
    shade,
    offset,
    air,
    solar,
    humidity,
    cloud,
    flow,
    groundwater,
    melt,
    released,
    p,
):
    days, n = air.shape
    upstream = [[j for j in range(n) if down[j] == i] for i in range(n)]
    todo, order = set(range(n)), []
    while todo:
        ready = sorted(i for i in todo if not (set(upstream[i]) & todo))
        order += ready
        todo -= set(ready)
    deep = air[:365].mean(axis=0)
    balance = equilibrium_temperature(
        air, solar, relative_humidity=humidity, cloud_cover=cloud, shade=shade, parameters=p
    )
    brooks = balance.temperature[:8].mean(axis=0)
    bed = [None] * n
    if days >= 365:
        for day in list(range(365)) * 2:
            deep = deep + (air[day] - deep) / p.groundwater_memory
    entered = np.zeros((days, n))
    out = np.zeros((days, n))
    for t in range(days):
        deep = deep + (air[t] - deep) / p.groundwater_memory
        brooks = brooks + (balance.temperature[t] - brooks) / p.runoff_memory
        for i in order:
            above = sum(flow[t, j] for j in upstream[i])
            heat = sum(flow[t, j] * out[t, j] for j in upstream[i])
            lateral = max(flow[t, i] - above, 0.0)
            surface = (1 - melt[t, i]) * max(brooks[i], 0.0)
            warmth = groundwater[t, i] * max(deep[i] + offset[i], 0.0)
            warmth += (1 - groundwater[t, i]) * surface
            entered[t, i] = (heat + lateral * warmth) / (above + lateral)
            if released[t, i]:
                entered[t, i] += released[t, i] / HEAT_CAPACITY / (above + lateral)
                entered[t, i] = max(entered[t, i], 0.0)
            if slope[i] > 0:
                depth = (p.manning * flow[t, i] / width[i] / math.sqrt(slope[i])) ** 0.6
            else:
                depth = p.depth_coefficient * flow[t, i] ** p.depth_exponent
            speed = max(flow[t, i] / width[i] / depth, p.min_velocity)
            lag = length[i] / speed / 86400
            whole = math.floor(lag)
            now, before = entered[max(t - whole, 0), i], entered[max(t - whole - 1, 0), i]
            parcel = now + (lag - whole) * (before - now)
            te, k = balance.temperature[t, i], balance.coefficient[t, i]
            bed[i] = entered[t, i] if bed[i] is None else bed[i]
            te = (k * te + p.bed_exchange * bed[i]) / (k + p.bed_exchange)
            rate = (k + p.bed_exchange) * length[i] * width[i] / (HEAT_CAPACITY * flow[t, i])
            out[t, i] = max(te + (parcel - te) * math.exp(-rate), 0.0)
            mean = te + (parcel - te) * (1 - math.exp(-rate)) / rate
            bed[i] += (max(mean, 0.0) - bed[i]) / p.bed_memory
    return out


@pytest.mark.parametrize("bed_exchange", [0.0, 12.0], ids=["no-bed", "bed"])
@pytest.mark.parametrize("slow", [False, True], ids=["brisk", "days-under-way"])
@pytest.mark.parametrize("days", [40, 560], ids=["short", "over-a-block"])
def test_compiled_loop_equals_the_plain_one(days: int, slow: bool, bed_exchange: float) -> None:
    rng = np.random.default_rng(3)
    n = 7
    down = np.array([3, 3, 4, 5, 5, 6, -1])
    length = rng.uniform(500, 20_000 if slow else 3000, n)
    width = rng.uniform(2, 30, n)
    slope = np.array([0.02, 0.0, 0.001, 0.003, 0.0, 0.0005, 0.0])
    shade = rng.uniform(0, 0.8, n)
    offset = rng.normal(0, 2, n)
    shape = (days, n)
    air = 8 + 12 * np.sin(np.arange(days) / 58)[:, None] + rng.normal(0, 4, shape)
    solar, humidity, cloud = rng.uniform(20, 300, shape), rng.uniform(30, 100, shape), rng.random(shape)
    area = np.array([1.0, 2, 1, 4, 2, 8, 9])
    flow = area * rng.lognormal(-2, 0.4, (days, 1)) * rng.uniform(0.8, 1.2, shape)
    share, melt = rng.random(shape), rng.random(shape)
    released = np.where(rng.random(shape) < 0.1, rng.normal(0, 2e6, shape), 0.0)
    p = StreamParameters(min_velocity=0.01 if slow else 0.05, bed_exchange=bed_exchange)
    expected = plain_model(
        down, length, width, slope, shade, offset, air, solar, humidity, cloud, flow, share, melt, released, p
    )
    got = stream_temperature(
        down,
        length=length,
        width=width,
        slope=slope,
        shade=shade,
        air_temperature=air,
        solar_radiation=solar,
        relative_humidity=humidity,
        cloud_cover=cloud,
        discharge=flow,
        groundwater_fraction=share,
        groundwater_offset=offset,
        snowmelt_fraction=melt,
        heat=released,
        parameters=p,
    )
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


def test_all_heat_that_is_released_leaves_at_the_outlet() -> None:
    """Without exchange with the air: 86,400 s of W are the J that pass the outlet, on whichever days."""
    rng = np.random.default_rng(5)
    days, down = 60, np.array([2, 2, 4, 4, -1])
    flow = np.array([1.0, 2.0, 4.0, 0.5, 6.0])
    heat = np.zeros((days, 5))
    heat[10:15, 0], heat[12, 3] = rng.uniform(1e6, 9e6, 5), -4e5

    def run(released: np.ndarray | float) -> np.ndarray:
        return stream_temperature(
            down,
            length=40_000.0,
            width=20.0,
            discharge=flow,
            air_temperature=steady(5),
            solar_radiation=100.0,
            heat=released,
            parameters=StreamParameters(exchange_factor=0.0),
        )

    warmer = run(heat) - run(0.0)
    passed = HEAT_CAPACITY * flow[-1] * warmer[:, -1].sum() * 86400
    assert passed == pytest.approx(heat.sum() * 86400, rel=1e-9)
    assert warmer[:, 1] == pytest.approx(0.0)  # the tributary beside the source
    assert warmer[11, -1] == 0 < warmer[14, -1]  # under way


def test_without_lateral_inflow_a_chain_relaxes_exponentially() -> None:
    n, length, width, flow = 12, 2000.0, 6.0, 0.8
    air = steady(n)
    water = stream_temperature(
        np.append(np.arange(1, n), -1),
        length=length,
        width=width,
        discharge=flow,
        air_temperature=air,
        solar_radiation=200.0,
        groundwater_fraction=1.0,
        parameters=StreamParameters(groundwater_offset=-9.0),  # the spring that feeds the first reach
    )
    te, k = (
        float(x) for x in equilibrium_temperature(18.0, 200.0, shade=canopy_shade(width), parameters=None)
    )
    distance = length * np.arange(1, n + 1)
    expected = te + (9.0 - te) * np.exp(-k * distance * width / (HEAT_CAPACITY * flow))
    np.testing.assert_allclose(water[-1], expected, atol=1e-9)


def test_a_long_shallow_reach_reaches_equilibrium() -> None:
    water = stream_temperature(
        [-1],
        length=5e4,
        width=30.0,
        discharge=0.5,
        shade=0.2,
        air_temperature=steady(1),
        solar_radiation=150.0,
    )
    te = float(equilibrium_temperature(18.0, 150.0, shade=0.2).temperature)
    np.testing.assert_allclose(water[-1], te, atol=1e-9)


def test_the_bed_stores_heat_and_keeps_none() -> None:
    """A hot day reaches the water smaller and later; in the long run the bed gives what it took."""
    air = steady(1, 15.0, 200)
    air[100] += 10.0
    water = {}
    for exchange in (0.0, 20.0):
        water[exchange] = stream_temperature(
            [-1],
            length=2e4,
            width=10.0,
            discharge=1.0,
            air_temperature=air,
            solar_radiation=0.0,
            relative_humidity=100.0,
            shade=1.0,  # equilibrium at the temperature of the air
            groundwater_fraction=1.0,
            parameters=StreamParameters(
                bed_exchange=exchange, groundwater_offset=-8.0, groundwater_memory=1e5, min_velocity=1.0
            ),
        )[:, 0]
    bare, bedded = water[0.0], water[20.0]
    assert 0.3 < (bedded[100] - bedded[99]) / (bare[100] - bare[99]) < 0.8
    assert bedded[101] - bedded[99] > 3 * abs(bare[101] - bare[99])
    # at rest the bed is as warm as the water on average, and all that the water gains on its way came in
    # through the surface: rho c Q (T_out - T_in) = K (Te - mean) w L
    te, k = (float(x) for x in equilibrium_temperature(15.0, 0.0, relative_humidity=100.0, shade=1.0))
    inflow = air.mean() - 8.0
    mean = te - HEAT_CAPACITY * (bedded[99] - inflow) / (k * 2e4 * 10.0)
    target = (k * te + 20.0 * mean) / (k + 20.0)
    rate = (k + 20.0) * 2e4 * 10.0 / HEAT_CAPACITY
    assert bedded[99] == pytest.approx(target + (inflow - target) * math.exp(-rate), abs=1e-3)


def test_without_exchange_confluences_conserve_energy_and_water() -> None:
    """What leaves the basin is the sum of all lateral inflows of water and heat."""
    rng = np.random.default_rng(0)
    down = np.array([4, 4, 5, 5, 6, 6, 7, -1])
    lateral = rng.uniform(0.1, 2.0, 8)
    flow = lateral.copy()
    for i in range(8):  # positions are already headwaters first
        if down[i] >= 0:
            flow[down[i]] += flow[i]
    springs = rng.uniform(4, 20, 8)  # groundwater as warm as the steady air over each reach
    water = stream_temperature(
        down,
        length=1500.0,
        width=5.0,
        discharge=flow,
        air_temperature=np.tile(springs, (400, 1)),
        solar_radiation=100.0,
        groundwater_fraction=1.0,
        parameters=StreamParameters(exchange_factor=0.0, groundwater_offset=0.0),
    )
    assert flow[-1] * water[-1, -1] == pytest.approx(lateral @ springs, rel=1e-12)
    arriving = (flow[2] * water[-1, 2] + flow[3] * water[-1, 3] + lateral[5] * springs[5]) / flow[5]
    assert water[-1, 5] == pytest.approx(arriving, rel=1e-12)


def test_a_losing_reach_keeps_its_temperature() -> None:
    water = stream_temperature(
        [1, -1],
        length=1000.0,
        width=5.0,
        discharge=[1.0, 0.4],
        air_temperature=steady(2),
        solar_radiation=0.0,
        parameters=StreamParameters(exchange_factor=0.0),
    )
    assert water[-1, 1] == pytest.approx(water[-1, 0], rel=1e-12)


def test_a_pulse_arrives_one_travel_time_later() -> None:
    """Half a day in each of 4 reaches: a warm inflow needs two days to leave the fourth."""
    days, n = 400, 4
    air = steady(n, 10.0, days)
    air[380] += 10.0
    flow, width, depth = 1.0, 5.0, 0.5
    speed = flow / width / depth
    water = stream_temperature(
        [1, 2, 3, -1],
        length=speed * 43200.0,
        width=width,
        discharge=flow,
        air_temperature=air,
        solar_radiation=0.0,
        groundwater_fraction=0.0,
        shade=1.0,  # no sun, no sky, no evaporation: brooks as warm as the air
        relative_humidity=100.0,
        parameters=StreamParameters(
            exchange_factor=0.0, depth_coefficient=depth, depth_exponent=0.0, runoff_memory=1.0
        ),
    )
    pulse = water[:, -1] - 10.0
    assert pulse.sum() == pytest.approx(10.0)
    assert (pulse * np.arange(days)).sum() / pulse.sum() == pytest.approx(382.0)


def year(n: int, days: int = 3 * 365) -> np.ndarray:
    wave = 10 + 14 * np.sin(2 * np.pi * (np.arange(days) - 110) / 365.25)
    return np.repeat(wave[:, None], n, axis=1)


def test_never_below_zero_and_frozen_in_a_hard_winter() -> None:
    air = year(3) - 15.0
    water = stream_temperature(
        [1, 2, -1],
        length=1e4,
        width=8.0,
        discharge=[0.5, 1.0, 1.5],
        air_temperature=air,
        solar_radiation=60.0,
    )
    assert water.min() == 0.0
    assert (water[air[:, 0] < -15] == 0.0).any()
    assert water.max() > 0.0


@pytest.mark.parametrize("share", [(0.0, 0.5), (0.5, 1.0)], ids=["none-to-half", "half-to-all"])
def test_groundwater_damps_the_year(share: tuple[float, float]) -> None:
    kept = {}
    for fraction in share:
        water = stream_temperature(
            [1, -1],
            length=2000.0,
            width=4.0,
            discharge=[0.3, 0.6],
            air_temperature=year(2),
            solar_radiation=120.0,
            groundwater_fraction=fraction,
        )
        kept[fraction] = water[-365:, 1]
    low, high = share
    assert kept[high].max() < kept[low].max() - 0.3
    assert kept[high].min() >= kept[low].min()


def test_groundwater_is_a_damped_late_air_temperature() -> None:
    """First-order filter: amplitude 1/sqrt(1+(wm)^2), delay atan(wm)/w."""
    memory = 100.0
    water = stream_temperature(
        [-1],
        length=1.0,
        width=1.0,
        discharge=1.0,
        air_temperature=year(1),
        solar_radiation=0.0,
        groundwater_fraction=1.0,
        parameters=StreamParameters(exchange_factor=0.0, groundwater_memory=memory, groundwater_offset=0.0),
    )[-365:, 0]
    omega = 2 * np.pi / 365.25
    damped = 14 / np.sqrt(1 + (omega * memory) ** 2)
    assert np.ptp(water) / 2 == pytest.approx(damped, rel=0.01)
    delay = np.argmax(water) - np.argmax(year(1)[-365:, 0])
    assert delay == pytest.approx(np.arctan(omega * memory) / omega, abs=2)


@pytest.mark.parametrize(
    ("argument", "cooler", "warmer"),
    [("shade", 0.9, 0.1), ("solar_radiation", 100.0, 250.0), ("relative_humidity", 40.0, 90.0)],
)
def test_monotone_responses(argument: str, cooler: float, warmer: float) -> None:
    def run(value: float) -> np.ndarray:
        settings = {"shade": 0.3, "solar_radiation": 180.0, "relative_humidity": 70.0, argument: value}
        return stream_temperature(
            [1, -1],
            length=3000.0,
            width=5.0,
            discharge=[0.4, 0.8],
            air_temperature=steady(2),
            **settings,
        )

    assert (run(cooler)[-1] < run(warmer)[-1]).all()


def test_melt_water_cools() -> None:
    def run(melt: float) -> np.ndarray:
        return stream_temperature(
            [-1],
            length=1000.0,
            width=5.0,
            discharge=1.0,
            air_temperature=steady(1, 6.0),
            solar_radiation=150.0,
            snowmelt_fraction=melt,
        )

    assert run(0.9)[-1, 0] < run(0.0)[-1, 0] - 1.0


def test_exchange_coefficient_is_in_the_published_range() -> None:
    """15-50 W m-2 K-1 in mild air with little wind; about Ta when the sun balances the losses."""
    air = np.array([0.0, 10.0, 20.0, 30.0])
    state = equilibrium_temperature(air, 150.0)
    assert ((state.coefficient > 10) & (state.coefficient < 50)).all()
    assert (np.diff(state.coefficient) > 0).all()
    assert (np.abs(state.temperature - air) < 8).all()
    # at equilibrium no heat flows: the fluxes, written out without linearising
    te, ta, rh = 20.0 + 1.0, 20.0, 0.7
    wind = 6.9 + 0.345 * 1.5**2

    def e_s(t: float) -> float:
        return 6.112 * math.exp(17.62 * t / (243.12 + t))

    def flux(t: float, sun: float) -> float:
        vapour = rh * e_s(ta)
        sky = 1.24 * (vapour / (ta + 273.15)) ** (1 / 7) * (1 + 0.17 * 0.25)
        longwave = 0.97 * 5.670374e-8 * (sky * (ta + 273.15) ** 4 - (t + 273.15) ** 4)
        return 0.94 * sun + longwave - wind * (e_s(t) - vapour) - wind * 0.63 * (t - ta)

    sun = -flux(te, 0.0) / 0.94
    found = float(equilibrium_temperature(ta, sun).temperature)
    assert found == pytest.approx(te, abs=0.05)


def test_type_and_broadcasting() -> None:
    full = {"solar_radiation": steady(2, 150.0), "discharge": np.tile([0.5, 1.0], (DAYS, 1))}
    short = {"solar_radiation": 150.0, "discharge": np.array([0.5, 1.0])}
    a, b = (
        stream_temperature([1, -1], length=[1e3, 1e3], width=[3, 4], air_temperature=steady(2), **kw)
        for kw in (full, short)
    )
    np.testing.assert_array_equal(a, b)
    single = stream_temperature(
        [1, -1], length=1e3, width=[3, 4], air_temperature=steady(2).astype("float32"), **short
    )
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, a, atol=1e-4)


GOOD = {"length": 1e3, "width": 5.0, "air_temperature": steady(2), "solar_radiation": 150.0, "discharge": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": [1e3, 0.0]}, "length must be above 0 m; it is not at reaches 1"),
        ({"width": [1.0, 2.0, 3.0]}, r"width has shape \(3,\)"),
        ({"width": [1.0, np.nan]}, "width is not finite at reaches 1"),
        ({"shade": [0.1, 1.4]}, "shade must lie in 0..1"),
        ({"discharge": -1.0}, "discharge must be finite and in 0..1e"),
        ({"air_temperature": np.full(5, 3.0)}, "must be \\(time, reach\\)"),
        ({"air_temperature": steady(2) + 273.15}, "air_temperature must be finite and in -90..70"),
        ({"solar_radiation": np.array([np.nan, 1.0])}, "60 values are not, first day 0, reach 0"),
        ({"solar_radiation": np.ones((3, 2))}, "does not broadcast"),
    ],
    ids=lambda x: "-".join(x) if isinstance(x, dict) else None,
)
def test_faults_are_named(change: dict, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        stream_temperature([1, -1], **{**GOOD, **change})


def test_wrong_number_of_links() -> None:
    with pytest.raises(InvalidArgumentError, match="2 reaches"):
        stream_temperature([1, 2, -1], **GOOD)


def test_a_cycle_is_refused() -> None:
    with pytest.raises(CycleError):
        stream_temperature([1, 0], **GOOD)
