"""Other planners on the tasks of `cargo xtask bench horizon` that they can state.

    bench_peers.py PEER TASK PRICES.csv.gz

Task c is the block of 40 to 100 MW with start cost, ramp and dwell; task s is 1,440 MWh each day
at up to 100 MW for the least cost. Prints one JSON object: peer, task, seconds, processor seconds,
peak MiB and the value it reached. Imports and reading the prices are not timed.
"""

import gzip
import json
import logging
import resource
import sys
import time

STEP_H = 0.25
DAY = 96
VALUE = 40.0
NEED_MWH = 1440.0
MOST_MW = 100.0


def read(path):
    """Prices per MWh, one for each quarter of an hour."""
    with gzip.open(path, "rt") as lines:
        next(lines)
        return [float(line.split(",")[1]) for line in lines]


def pypsa_c(prices):
    """Unit commitment over the whole year; begins off and free to start."""
    import pandas as pd
    import pypsa

    def run():
        steps = pd.RangeIndex(len(prices))
        n = pypsa.Network()
        n.set_snapshots(steps)
        n.add("Bus", "meter")
        n.add("Generator", "grid", bus="meter", p_nom=MOST_MW, marginal_cost=0.0)
        loss = pd.Series([(p - VALUE) * STEP_H for p in prices], index=steps)
        n.add(
            "Generator",
            "block",
            bus="meter",
            sign=-1,
            committable=True,
            p_nom=MOST_MW,
            p_min_pu=0.4,
            marginal_cost=loss,
            start_up_cost=400.0,
            min_up_time=4,
            min_down_time=4,
            up_time_before=0,
            down_time_before=4,
            ramp_limit_up=0.2,
            ramp_limit_start_up=0.4,
            ramp_limit_down=1.0,
            ramp_limit_shut_down=1.0,
        )
        status = n.optimize(solver_name="highs", solver_options=HIGHS, log_to_console=False)
        assert status[0] == "ok", status
        return -n.objective

    return run


def pypsa_s(prices):
    """Least cost with one energy row a day."""
    import pandas as pd
    import pypsa
    import xarray as xr

    def run():
        steps = pd.RangeIndex(len(prices))
        n = pypsa.Network()
        n.set_snapshots(steps)
        n.add("Bus", "meter")
        cost = pd.Series([p * STEP_H for p in prices], index=steps)
        n.add("Generator", "grid", bus="meter", p_nom=MOST_MW, marginal_cost=cost)
        n.add("Generator", "work", bus="meter", sign=-1, p_nom=MOST_MW, marginal_cost=0.0)

        def rows(n, snapshots):
            power = n.model["Generator-p"].sel(name="work")
            days = xr.DataArray([t // DAY for t in snapshots], dims="snapshot", name="day")
            energy = (power * STEP_H).groupby(days).sum()
            n.model.add_constraints(energy == NEED_MWH, name="energy-of-a-day")

        status = n.optimize(
            solver_name="highs",
            solver_options=HIGHS,
            extra_functionality=rows,
            log_to_console=False,
        )
        assert status[0] == "ok", status
        return n.objective

    return run


HIGHS = {"mip_rel_gap": 1e-6, "threads": 1, "output_flag": False}


def energypylinear_s(prices):
    """A battery that is filled each day and may not sell, one solve a day."""
    import energypylinear as epl

    def run():
        cost = 0.0
        for begin in range(0, len(prices), DAY):
            day = prices[begin : begin + DAY]
            battery = epl.Battery(
                power_mw=MOST_MW,
                discharge_power_mw=1e-9,
                capacity_mwh=NEED_MWH,
                efficiency_pct=1.0,
                initial_charge_mwh=0.0,
                final_charge_mwh=NEED_MWH,
                electricity_prices=day,
                freq_mins=15,
            )
            done = battery.optimize(verbose=False, optimizer_config={"relative_tolerance": 0.0})
            drawn = done.results["site-import_power_mwh"]
            assert abs(drawn.sum() - NEED_MWH) < 1e-3, drawn.sum()
            cost += sum(e * p for e, p in zip(drawn, day))
        return cost

    return run


def emhass_s(prices):
    """A deferrable load of 14.4 h a day at nominal power, in kW for MW, one solve a day."""
    import csv
    import os

    import emhass
    import pandas as pd
    from emhass.optimization import Optimization

    folder = os.path.join(os.path.dirname(emhass.__file__), "data")
    with open(os.path.join(folder, "config_defaults.json")) as text:
        defaults = json.load(text)
    parts = {"retrieve_hass_conf": {}, "optim_conf": {}, "plant_conf": {}}
    with open(os.path.join(folder, "associations.csv")) as text:
        for line in csv.reader(text):
            group, names = line[0], line[1:]
            for name in names:
                if group in parts and name in defaults:
                    parts[group][name] = defaults[name]
    hass, optim, plant = parts.values()
    hass["optimization_time_step"] = pd.Timedelta(minutes=15)
    hass["time_zone"] = "UTC"
    optim.update(
        set_use_battery=False,
        set_use_pv=False,
        number_of_deferrable_loads=1,
        nominal_power_of_deferrable_loads=[MOST_MW * 1000],
        minimum_power_of_deferrable_loads=[0.0],
        operating_hours_of_each_deferrable_load=[NEED_MWH / MOST_MW],
        treat_deferrable_load_as_semi_cont=[False],
        set_deferrable_load_single_constant=[False],
        set_deferrable_startup_penalty=[0.0],
        set_deferrable_max_startups=[0],
        start_timesteps_of_each_deferrable_load=[0],
        end_timesteps_of_each_deferrable_load=[0],
        delta_forecast_daily=pd.Timedelta(days=1),
        num_threads=1,
        lp_solver="HIGHS",
    )
    plant.update(maximum_power_from_grid=MOST_MW * 1000, maximum_power_to_grid=0)
    log = logging.getLogger("emhass")
    log.setLevel(logging.ERROR)

    def run():
        cost = 0.0
        maker = Optimization(
            hass, optim, plant, "unit_load_cost", "unit_prod_price", "cost",
            {"root_path": folder, "data_path": folder}, log,
        )
        for begin in range(0, len(prices), DAY):
            day = prices[begin : begin + DAY]
            index = pd.date_range("2024-01-01", periods=DAY, freq="15min", tz="UTC")
            frame = pd.DataFrame({"unit_load_cost": day, "unit_prod_price": 0.0}, index=index)
            zero = pd.Series(0.0, index=index)
            done = maker.perform_dayahead_forecast_optim(frame, zero, zero)
            energy = done["P_deferrable0"].to_numpy() / 1000 * STEP_H
            assert abs(energy.sum() - NEED_MWH) < 1e-1, energy.sum()
            cost += float((energy * day).sum())
        return cost

    return run


PEERS = {
    ("pypsa", "c"): pypsa_c,
    ("pypsa", "s"): pypsa_s,
    ("energypylinear", "s"): energypylinear_s,
    ("emhass", "s"): emhass_s,
}


def spent():
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main():
    peer, task, path = sys.argv[1:]
    logging.disable(logging.WARNING)
    prices = read(path)
    run = PEERS[peer, task](prices)
    wall, cpu = time.perf_counter(), spent()
    value = run()
    wall, cpu = time.perf_counter() - wall, spent() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    done = {"peer": peer, "task": task, "s": wall, "cpu_s": cpu}
    print(json.dumps(done | {"peak_mib": peak, "value": value}))


if __name__ == "__main__":
    main()
