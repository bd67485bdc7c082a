"""Fine arguments of public calls on data, from which `test_wrong_arguments.py` makes wrong ones."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

import xmsgl
import xmsgl.plot.door
import xmsgl.prediction.embed
import xmsgl.readers.backend
import xmsgl.reconstruct.door
from tests.bad_settings import stop
from tests.readers.test_nhm import forcing as nhm_forcing
from tests.readers.test_nhm import parameters as nhm_parameters
from tests.readers.test_nhm import units as nhm_units
from tests.readers.test_riverdl import DISTANCE, NAMES
from tests.readers.test_riverdl import drivers as dl_drivers
from tests.small import TWO_FEATURES
from xmsgl import datasets, evaluate, events, export, plot, readers
from xmsgl.benchmark.degrade import degrade
from xmsgl.events import text as bulletin


def lat_lon(t):
    axis = {"time": t.ds["time"].values[:3], "lat": [30.0, 50.0], "lon": [-90.0, -60.0]}
    return xr.Dataset({"t": (tuple(axis), np.full((3, 2, 2), 5.0), {"units": "degC"})}, coords=axis)


#: The call, and arguments that are fine.
CALLS = {
    "xarray.Dataset.msgl.validate": lambda t: (t.ds.msgl.validate, {}),
    "xarray.Dataset.msgl.graph": lambda t: (t.ds.msgl.graph, {"scale": "fine", "hops": 2}),
    "xarray.Dataset.msgl.train": lambda t: (
        t.ds.msgl.train,
        {"method": "msgl", "observers": [stop], **TWO_FEATURES},
    ),
    "xarray.Dataset.msgl.downscale": lambda t: (t.ds.msgl.downscale, {"model": t.model, "warmup": 5}),
    "xarray.Dataset.msgl.reconstruct": lambda t: (
        t.ds.msgl.reconstruct,
        {"model": t.model, "warmup": 5, "device": "cpu"},
    ),
    "xarray.Dataset.msgl.state": lambda t: (
        t.ds.msgl.state,
        {
            "model": t.model,
            "day": "2001-11-01",
            "observed": None,
            "start": None,
            "warmup": 5,
            "device": "cpu",
        },
    ),
    "xarray.Dataset.msgl.embed": lambda t: (
        t.ds.msgl.embed,
        {"model": t.network, "warmup": 5, "device": "cpu"},
    ),
    "xarray.Dataset.msgl.evaluate": lambda t: (
        t.ds.msgl.evaluate,
        {"prediction": t.prediction, "seed": 0, "tails": "inclusive"},
    ),
    "xarray.Dataset.msgl.compare": lambda t: (
        t.ds.msgl.compare,
        {"predictions": {"a": t.prediction, "b": t.observed}, "observed": None, "by": None, "confidence": 0.9}
        | {"seed": 0},
    ),
    "xarray.Dataset.msgl.export": lambda t: (t.ds.msgl.export, {"prediction": t.prediction}),
    "xarray.Dataset.msgl.explore": lambda t: (
        t.ds.msgl.explore,
        {"path": t.folder / "p.html", "prediction": t.prediction}
        | {"interval": None, "observed": None, "title": None},
    ),
    "xarray.Dataset.msgl.plot.network": lambda t: (
        t.ds.msgl.plot.network,
        {"var": t.prediction, "time": "2001-11"},
    ),
    "xarray.Dataset.msgl.plot.series": lambda t: (
        t.ds.msgl.plot.series,
        {"prediction": t.prediction, "reach": t.ds["fine"].values[0]},
    ),
    "xarray.Dataset.msgl.plot.skill": lambda t: (
        t.ds.msgl.plot.skill,
        {"prediction": t.prediction, "by": "month"},
    ),
    "xarray.Dataset.msgl.plot.graph": lambda t: (t.ds.msgl.plot.graph, {"which": "fine"}),
    "xarray.Dataset.msgl.to_datatree": lambda t: (t.ds.msgl.to_datatree, {}),
    "xmsgl.combine": lambda t: (
        xmsgl.combine,
        {
            "coarse_ds": t.ds.drop_dims("fine"),
            "fine_ds": t.ds.drop_dims("coarse").drop_vars("coarse_segment"),
            "crosswalk": t.ds["coarse_segment"],
        },
    ),
    "xmsgl.join_basins": lambda t: (xmsgl.join_basins, {"basins": [t.ds, t.ds], "renumber": True}),
    "xmsgl.coarsen": lambda t: (xmsgl.coarsen, {"ds": t.ds.drop_dims("coarse").drop_vars("coarse_segment")}),
    "xmsgl.catalog_path": lambda t: (xmsgl.catalog_path, {}),
    "xmsgl.load_model": lambda t: (xmsgl.load_model, {}),
    "xmsgl.Model.member": lambda t: (t.model.member, {"k": 0}),
    "xmsgl.Model.join": lambda t: (xmsgl.Model.join, {"models": [t.one, t.other]}),
    "xmsgl.Model.save": lambda t: (t.model.save, {"path": t.folder / "m"}),
    "xmsgl.Model.from_bytes": lambda t: (xmsgl.Model.from_bytes, {"payload": t.model.payload}),
    "xmsgl.set_options": lambda t: (
        xmsgl.set_options,
        {
            "progress": False,
            "data_dir": None,
            "data_mirror": None,
            "deterministic": False,
            "process_tuning": False,
            "training_memory": None,
            "largest_basin": 131_072,
        },
    ),
    "xmsgl.get_option": lambda t: (xmsgl.get_option, {"name": "progress"}),
    "xmsgl.datasets.delaware": lambda t: (datasets.delaware, {"cache_dir": t.folder / "none"}),
    "xmsgl.datasets.willamette": lambda t: (datasets.willamette, {"cache_dir": t.folder / "none"}),
    "xmsgl.datasets.yakima": lambda t: (datasets.yakima, {"cache_dir": t.folder / "none"}),
    "xmsgl.datasets.simulated": lambda t: (datasets.simulated, {"n_coarse": 2, "years": 1}),
    "xmsgl.datasets.availability": lambda t: (datasets.availability, {"name": "delaware"}),
    "xmsgl.datasets.fetch": lambda t: (
        datasets.fetch,
        {"name": "delaware", "cache_dir": t.folder / "none", "retries": 0, "progress": False},
    ),
    "xmsgl.readers.read": lambda t: (
        lambda name, source, **options: readers.read(name, source, **options),
        {"name": "csv", "source": t.table, "units": {"length": "m"}},
    ),
    "xmsgl.readers.get": lambda t: (readers.get, {"name": "csv"}),
    "xmsgl.readers.register": lambda t: (readers.register, {"name": "y"}),
    "xmsgl.readers.read_csv": lambda t: (readers.read_csv, {"reaches": t.table, "units": {"length": "m"}}),
    "xmsgl.readers.read_csv_basin": lambda t: (
        readers.read_csv_basin,
        {
            "coarse": (
                t.table,
                t.readings,
            ),
            "fine": (t.table.assign(segment=[1, 2]), None),
            "units": {"length": "m"},
        },
    ),
    "xmsgl.readers.crosswalk": lambda t: (readers.crosswalk, {"coarse": t.ds, "fine": t.ds}),
    "xmsgl.readers.keep": lambda t: (
        readers.keep,
        {"ds": t.ds.drop_dims("coarse"), "ids": t.ds["fine"].values[:2]},
    ),
    "xmsgl.readers.one_scale": lambda t: (readers.one_scale, {"ds": t.ds.drop_dims("coarse")}),
    "xmsgl.readers.place_sites": lambda t: (
        readers.place_sites,
        {"sites": t.stations, "observations": t.daily, "network": t.ds},
    ),
    "xmsgl.readers.weather_from_grid": lambda t: (
        readers.weather_from_grid,
        {"grid": lat_lon(t), "network": t.ds, "names": {"air_temperature": "t"}},
    ),
    "xmsgl.readers.weather_from_stations": lambda t: (
        readers.weather_from_stations,
        {"stations": t.stations, "daily": t.weather, "network": t.ds},
    ),
    "xmsgl.readers.read_nhdplus": lambda t: (
        readers.read_nhdplus,
        {"source": pd.DataFrame({"comid": [1, 2], "tocomid": [2, 0], "lengthkm": [1.0, 2.0]})},
    ),
    "xmsgl.readers.read_nhm": lambda t: (
        readers.read_nhm,
        {"parameters": [nhm_parameters(), nhm_units()], "daily": nhm_forcing()},
    ),
    "xmsgl.readers.read_river_dl": lambda t: (
        readers.read_river_dl,
        {"drivers": dl_drivers(), "network": {"rowcolnames": NAMES, "downstream": DISTANCE}},
    ),
    "xmsgl.readers.read_ssn": lambda t: (readers.read_ssn, {"source": t.folder}),
    "xmsgl.readers.names": lambda t: (readers.names, {}),
    "xmsgl.readers.backend.XmsglBackend.open_dataset": lambda t: (
        xmsgl.readers.backend.XmsglBackend().open_dataset,
        {"filename_or_obj": t.table, "reader": "csv", "units": {"length": "m"}},
    ),
    "xmsgl.events.simulate": lambda t: (
        events.simulate,
        {"obj": t.basin, "n": 2, "sensors": 0.4, "days": 40, "noise": 0.1, "seed": 3},
    ),
    "xmsgl.events.train": lambda t: (
        events.train,
        {"events": t.events, "obj": t.basin, "epochs": 1, "seed": 2},
    ),
    "xmsgl.events.locate": lambda t: (
        events.locate,
        {"events": t.events, "obj": t.basin, "method": "largest"},
    ),
    "xmsgl.events.score": lambda t: (
        events.score,
        {"found": t.found, "events": t.events, "obj": t.basin},
    ),
    "xmsgl.events.perturb": lambda t: (
        events.perturb,
        {"events": t.events, "band": (3, 10), "shift": 1, "lost": 0.1, "noise": 0.1, "bias": 1.0, "seed": 1},
    ),
    "xmsgl.events.sensor_weights": lambda t: (
        events.sensor_weights,
        {"events": t.events, "obj": t.basin, "localizer": t.localizer},
    ),
    "xmsgl.events.felt": lambda t: (events.felt, {"events": t.events, "obj": t.basin}),
    "xmsgl.events.Localizer.save": lambda t: (t.localizer.save, {"path": t.folder / "localizer.safetensors"}),
    "xmsgl.events.Localizer.load": lambda t: (
        events.Localizer.load,
        {"path": t.localizer.save(t.folder / "localizer.safetensors")},
    ),
    "xmsgl.events.text.bulletins": lambda t: (
        bulletin.bulletins,
        {"events": t.events, "obj": t.basin, "seed": 1, "family": "log", "ids": False},
    ),
    "xmsgl.events.text.encode": lambda t: (bulletin.encode, {"texts": ["warm"], "encoder": "hashing"}),
    "xmsgl.events.text.align": lambda t: (
        bulletin.align,
        {
            "events": t.events,
            "obj": t.basin,
            "texts": t.texts,
            "localizer": t.localizer,
            "encoder": "hashing",
            "epochs": 1,
            "seed": 2,
        },
    ),
    "xmsgl.events.text.recall": lambda t: (bulletin.recall, {"a": t.vectors, "b": t.vectors, "k": 2}),
    "xmsgl.events.text.TextAligner.embed_events": lambda t: (
        t.aligner.embed_events,
        {"events": t.events, "obj": t.basin},
    ),
    "xmsgl.events.text.TextAligner.embed_texts": lambda t: (t.aligner.embed_texts, {"texts": ["warm"]}),
    "xmsgl.events.text.TextAligner.classify": lambda t: (
        t.aligner.classify,
        {"events": t.events, "obj": t.basin, "descriptions": {"warm": ["warm water"]}},
    ),
    "xmsgl.events.text.TextAligner.save": lambda t: (
        t.aligner.save,
        {"path": t.folder / "aligner.safetensors"},
    ),
    "xmsgl.events.text.TextAligner.load": lambda t: (
        bulletin.TextAligner.load,
        {"path": t.aligner.save(t.folder / "aligner.safetensors")},
    ),
    "xmsgl.events.text.gauge_bulletins": lambda t: (
        bulletin.gauge_bulletins,
        {"biases": {14: 1.0, "a": -0.5}, "seed": 1, "family": "log"},
    ),
    "xmsgl.events.text.BiasReader": lambda t: (
        bulletin.BiasReader,
        {"texts": ["too high", "too low"] * 4, "biases": [1.0, -1.0] * 4, "encoder": "hashing"},
    ),
    "xmsgl.events.text.BiasReader.estimate": lambda t: (t.reader.estimate, {"texts": ["too high"]}),
    "xmsgl.events.text.BiasReader.correct": lambda t: (
        t.reader.correct,
        {"observed": t.observed, "texts": [f"{t.ds['fine'].values[0]} reads too high"]},
    ),
    "xmsgl.evaluate.next_sensors": lambda t: (
        evaluate.next_sensors,
        {"obj": t.ds, "model": t.model, "candidates": t.ds["fine"].values[:2].tolist()},
    ),
    "xmsgl.evaluate.check_sensors": lambda t: (evaluate.check_sensors, {"obj": t.ds, "model": t.model}),
    "xmsgl.benchmark.degrade.degrade": lambda t: (
        degrade,
        {"ds": t.ds, "amounts": {"noise": 0.5}},
    ),
    "xmsgl.evaluate.variance_decomposition": lambda t: (
        evaluate.variance_decomposition,
        {"scores": xr.DataArray(np.eye(3)[None], dims=("repeat", "fold", "seed"))},
    ),
    "xmsgl.evaluate.score": lambda t: (
        evaluate.score,
        {"prediction": t.prediction, "observed": t.observed, "dataset": t.ds},
    ),
    "xmsgl.evaluate.coverage": lambda t: (
        evaluate.coverage,
        {"prediction": t.spread, "observed": t.observed},
    ),
    "xmsgl.evaluate.pinball": lambda t: (evaluate.pinball, {"prediction": t.spread, "observed": t.observed}),
    "xmsgl.evaluate.crps": lambda t: (evaluate.crps, {"prediction": t.members, "observed": t.observed}),
    "xmsgl.evaluate.compare": lambda t: (
        evaluate.compare,
        {"predictions": {"a": t.prediction, "b": t.observed}, "observed": t.observed, "dataset": t.ds},
    ),
    "xmsgl.evaluate.indices": lambda t: (
        evaluate.indices,
        {"temperature": t.prediction, "observed": t.observed},
    ),
    "xmsgl.evaluate.analogues": lambda t: (
        evaluate.analogues,
        {"embedding": t.embedding, "reach": 1, "n": 2},
    ),
    "xmsgl.evaluate.regimes": lambda t: (
        evaluate.regimes,
        {"behaviour": t.basin["true_temperature_fine"], "n": 2},
    ),
    "xmsgl.evaluate.skill_table": lambda t: (
        evaluate.skill_table,
        {"predictions": {"a": t.prediction}, "observed": t.observed},
    ),
    "xmsgl.evaluate.mask_labels": lambda t: (evaluate.mask_labels, {"obj": t.ds}),
    "xmsgl.evaluate.hold_out_segments": lambda t: (evaluate.hold_out_segments, {"ds": t.ds}),
    "xmsgl.evaluate.keep_fraction": lambda t: (
        evaluate.keep_fraction,
        {"labels": t.observed, "fraction": 0.5},
    ),
    "xmsgl.evaluate.leave_one_basin_out": lambda t: (
        partial(evaluate.leave_one_basin_out, epochs=1, hidden=2, progress=False),
        {"obj": t.ds, "method": "remap"},
    ),
    "xmsgl.evaluate.temporal_split": lambda t: (evaluate.temporal_split, {"ds": t.ds}),
    "xmsgl.evaluate.split_years": lambda t: (evaluate.split_years, {"time": t.ds}),
    "xmsgl.evaluate.water_year": lambda t: (evaluate.water_year, {"time": t.ds}),
    "xmsgl.evaluate.climatology": lambda t: (evaluate.climatology, {"obj": t.ds}),
    "xmsgl.evaluate.air_temperature_regression": lambda t: (
        evaluate.air_temperature_regression,
        {"obj": t.ds},
    ),
    "xmsgl.plot.overview": lambda t: (plot.overview, {"prediction": t.prediction, "obj": t.ds}),
    "xmsgl.plot.network": lambda t: (plot.network, {"da": t.prediction.mean("time"), "obj": t.ds}),
    "xmsgl.plot.uncertainty": lambda t: (plot.uncertainty, {"prediction": t.spread, "obj": t.ds}),
    "xmsgl.plot.series": lambda t: (
        plot.series,
        {"prediction": t.prediction, "obj": t.ds, "reach": t.ds["fine"].values[0]},
    ),
    "xmsgl.plot.embedding": lambda t: (
        plot.embedding,
        {"states": t.states, "obj": t.ds},
    ),
    "xmsgl.plot.explore": lambda t: (
        plot.explore,
        {"prediction": t.prediction, "obj": t.ds, "path": t.folder / "p.html"},
    ),
    "xmsgl.plot.door.Plots": lambda t: (xmsgl.plot.door.Plots, {"obj": t.ds}),
    "xmsgl.export.to_geodataframe": lambda t: (
        export.to_geodataframe,
        {"prediction": t.prediction, "obj": t.ds},
    ),
    "xmsgl.export.export": lambda t: (export.export, {"obj": t.ds}),
    "xmsgl.prediction.embed.embed": lambda t: (
        xmsgl.prediction.embed.embed,
        {"obj": t.ds, "model": t.network, "warmup": 5, "device": "cpu"},
    ),
    "xmsgl.reconstruct.door.reconstruct": lambda t: (
        xmsgl.reconstruct.door.reconstruct,
        {"obj": t.ds, "model": t.model, "warmup": 5, "device": "cpu"},
    ),
    "xmsgl.reconstruct.door.state": lambda t: (
        xmsgl.reconstruct.door.state,
        {"obj": t.ds, "model": t.model, "day": "2001-11-01", "warmup": 5, "device": "cpu"},
    ),
}
