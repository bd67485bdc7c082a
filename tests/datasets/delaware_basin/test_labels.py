from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xmsgl.datasets.delaware_basin.labels import coarse_labels, fine_labels, snap_sites


def day(number):
    return pd.Timestamp("2000-01-01") + pd.Timedelta(days=number)


@pytest.fixture
def toy():
    return pd.DataFrame(
        {
            "subsegment": ["1_1", "1_2", "2_1", "2_1", "9_1"],
            "time": [day(0), day(0), day(0), day(1), day(0)],
            "site_id": ["a", "b", "c", "c, d", "e"],
            "temperature": [10.0, 12.0, 5.0, np.nan, 7.0],
        }
    )


def test_coarse_labels_average_the_halves_of_a_segment(toy):
    found = coarse_labels(toy, {"1_1": 1, "1_2": 1, "2_1": 2})
    assert found.table.to_dict("list") == {
        "id": [1, 2],
        "time": [day(0), day(0)],
        "temperature": [11.0, 5.0],
    }
    assert found.counts["rows_without_temperature"] == 1
    assert found.counts["rows_on_unknown_segments"] == 1
    assert found.counts["observation_rows"] == 5


def test_fine_labels_need_one_near_site(toy):
    toy.loc[3, "temperature"] = 6.0
    snapped = pd.DataFrame(
        {
            "site_id": ["a", "b", "c", "d"],
            "subsegment": ["1_1", "1_2", "2_1", "2_1"],
            "comid": [101, 102, 201, 201],
            "distance": [10.0, 251.0, 250.0, 0.0],
        }
    )
    found = fine_labels(toy, snapped)
    assert found.table["id"].tolist() == [101, 201]
    assert found.table["temperature"].tolist() == [10.0, 5.0]
    assert found.counts["rows_of_several_sites"] == 1
    assert found.counts["rows_off_the_main_stem"] == 2


@pytest.fixture(scope="module")
def snapped(files, flowlines, crosswalk):
    return snap_sites(files["sites"], flowlines, crosswalk)


@pytest.fixture(scope="module")
def fine(observations, snapped):
    return fine_labels(observations, snapped)


@pytest.mark.delaware
class TestDelaware:
    def test_observations(self, observations):
        assert len(observations) == 490438
        assert observations["subsegment"].nunique() == 332
        assert observations["time"].min().year == 1908
        assert observations["time"].max() == pd.Timestamp("2021-04-08")
        assert 1 - observations["site_id"].str.contains(",").mean() == pytest.approx(0.93, abs=0.005)

    def test_fine_labels(self, fine, crosswalk):
        assert fine.counts["labels"] == len(fine.table) == 426523
        assert fine.counts["ids_with_labels"] == 539
        days = fine.table.groupby("id").size()
        assert ((days >= 30).sum(), (days >= 365).sum()) == (260, 103)
        place = crosswalk.main_stem.set_index("comid").reindex(days.index)
        assert (place["segment"].nunique(), place["subsegment"].nunique()) == (319, 320)

    def test_a_label_lies_on_the_sub_segment_of_its_reach(self, observations, fine, snapped, main_stem):
        own = main_stem.table["subsegment"]
        assert own.reindex(snapped["comid"]).tolist() == snapped["subsegment"].tolist()
        observed = {(row.subsegment, row.time) for row in observations.itertuples()}
        sample = fine.table.sample(2000, random_state=0)
        assert all((own[row.id], row.time) in observed for row in sample.itertuples())

    def test_counts_of_rows_add_up(self, fine):
        left_out = sum(fine.counts[name] for name in fine.counts if name.startswith("rows_"))
        assert fine.counts["observation_rows"] == fine.counts["labels"] + left_out

    def test_no_day_has_two_reaches_of_a_segment(self, fine, crosswalk):
        segment = crosswalk.main_stem.set_index("comid")["segment"]
        pairs = fine.table.assign(segment=segment.reindex(fine.table["id"]).to_numpy())
        assert not pairs.duplicated(["segment", "time"]).any()

    def test_coarse_labels_are_plain_means(self, observations, segments):
        found = coarse_labels(observations, segments.segment_of)
        assert found.counts["rows_on_unknown_segments"] == 0
        table = found.table.set_index(["id", "time"])["temperature"]
        assert table.index.is_unique
        sample = observations[observations["subsegment"].isin(["3_1", "3_2"])].dropna()
        expected = {}
        for row in sample.itertuples():
            expected.setdefault((1437, row.time), []).append(row.temperature)
        for key, values in list(expected.items())[:200]:
            assert table[key] == pytest.approx(np.mean(values))

    def test_sites_agree_with_the_reference_table(self, snapped, beside_mirror):
        reference = pd.read_csv(beside_mirror("reference/drb_temp_sites_snapped.csv"))
        reference = reference[reference["how"] == "subseg"].drop_duplicates(["site_id", "subseg_id"])
        both = snapped.merge(reference, left_on=["site_id", "subsegment"], right_on=["site_id", "subseg_id"])
        near = both[both["distance"] <= 250]
        assert len(near) > 1000
        assert (near["comid_x"] == near["comid_y"]).mean() > 0.995
        np.testing.assert_allclose(near["distance"], near["snap_m"], rtol=0.02, atol=2.0)

    def test_signal_between_and_within_segments(self, fine, crosswalk, files):
        """What air temperature and season leave: two degrees between reaches, half a one in a segment."""
        from xmsgl.datasets.delaware_basin.forcing import read_era5

        era5 = read_era5(files)
        air = pd.Series(era5.temperature, era5.time).rolling(7).mean()
        table = fine.table[fine.table["time"] >= "1941-01-01"]
        angle = 2 * np.pi * table["time"].dt.day_of_year / 365.25
        known = np.column_stack(
            [np.ones(len(table)), air.reindex(table["time"]), np.cos(angle), np.sin(angle)]
        )
        coefficients, *_ = np.linalg.lstsq(known, table["temperature"].to_numpy(), rcond=None)
        table = table.assign(residual=table["temperature"] - known @ coefficients)
        reaches = table.groupby("id")["residual"].agg(["mean", "size"]).query("size >= 30")["mean"]
        segment = crosswalk.main_stem.set_index("comid")["segment"].reindex(reaches.index)
        groups = reaches.groupby(segment)
        within = groups.std(ddof=0)[groups.size() > 1].median()
        assert reaches.std() == pytest.approx(2.15, abs=0.05)
        assert within == pytest.approx(0.46, abs=0.1)
