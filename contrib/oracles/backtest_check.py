#!/usr/bin/env python3
"""Counts a back-test again from its trace: backtest_check.py SITE.toml TRACE.csv RESULT.json

It shares no line with the program. It reads the site's numbers from its file, works out every
policy's energy, money and starts from what the trace says was drawn, and plans the unit anew by
a dynamic program of its own to get the bound. One unit, valued by energy, is what it knows.
Exit 0: all agree to the cent; 1: something does not; the line says what.
"""
import csv
import json
import re
import sys
import tomllib
from collections import defaultdict
from datetime import datetime

CENT = 0.01
UNITS = {"W": 1e-6, "kW": 1e-3, "MW": 1.0, "GW": 1e3, "s": 1, "min": 60, "h": 3600, "d": 86400}


def number(text):
    """A quantity's number in MW, seconds or money."""
    value, unit = re.match(r"\s*([-+0-9.]+)\s*(\S*)", text).groups()
    return float(value) * UNITS.get(unit, 0.01 if unit == "%" else 1.0)


def ramp(text):
    """MW per second."""
    if text is None:
        return None
    power, span = re.split(r" per |/", text)
    span = span if re.match(r"\s*[0-9]", span) else "1 " + span
    return number(power) / number(span)


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Site:
    def __init__(self, path):
        with open(path, "rb") as f:
            toml = tomllib.load(f)
        overhead = toml["site"].get("overhead", {})
        self.share = number(overhead.get("share", "0 %"))
        self.fixed = number(overhead.get("fixed", "0 W"))
        self.adder = sum(number(a["price"]) for a in toml.get("adder", []))
        self.blocks = toml.get("contract", [])
        cohorts = [c for c in toml["cohort"] if c.get("enabled", True)]
        assert len(cohorts) == 1, "one unit is what this knows"
        unit = cohorts[0]["unit"]
        self.value = number(cohorts[0].get("value") or toml["value"]["price"])
        self.min, self.max = number(unit["min"]), number(unit["max"])
        self.start_at = number(unit.get("start_at", unit["max"]))
        self.up, self.down = ramp(unit.get("ramp_up")), ramp(unit.get("ramp_down"))
        self.min_on = number(unit.get("min_on", "15 min"))
        self.min_off = number(unit.get("min_off", "15 min"))
        self.start = number(unit.get("start", "0"))
        self.begins_on = unit.get("begins", "off") == "on"
        most = cohorts[0].get("wear", {}).get("starts_per_day")
        assert most is None or most > 24, "starts a day are not what this plans"

    def worth(self, meter_mwh, hours, price):
        """Revenue, energy cost and resale of an interval; the meter is machines, share, fixed."""
        machines = (meter_mwh - self.fixed * hours) / (1 + self.share)
        cost, back, rest = meter_mwh * self.adder, 0.0, meter_mwh
        for block in self.blocks:
            bought = number(block["quantity"]) * hours
            cost += bought * number(block["price"])
            resale = block.get("resale", {})
            share = number(resale.get("share", "100 %"))
            back += max(bought - rest, 0) * (price * share - number(resale.get("fee", "0")))
            rest = max(rest - bought, 0)
        return machines * self.value, cost + rest * price, back


def policies(path, settle):
    """Segments by policy: interval start, hours, price, power, energy."""
    out = defaultdict(list)
    with open(path, newline="") as f:
        for row in csv.DictReader(f):
            start, end = seconds(row["start"]), seconds(row["end"])
            assert start // settle == (end - 1e-6) // settle, f"{row['start']} straddles"
            energy, power = float(row["energy_wh"]), float(row["power_w"])
            assert abs(power * (end - start) / 3600 - energy) < 1, f"{row['start']}: energy"
            known = seconds(row["known_at"])
            out[row["policy"]].append(
                (start, end, float(row["price"]), power / 1e6, energy / 1e6, known)
            )
    return out


def recount(site, segments, settle):
    """The parts of a policy's profit."""
    intervals, starts = {}, 0
    was_on = site.begins_on
    until = segments[0][0]
    idle = site.fixed + 1e-6
    for start, end, price, power, energy, _ in segments:
        assert start == until, f"time is missing before {start}"
        until = end
        sums = intervals.setdefault(start // settle * settle, [0.0, 0.0, price])
        sums[0] += energy
        sums[1] += (end - start) / 3600
        assert sums[2] == price, "one interval has two prices"
        on = power > idle
        starts += on and not was_on
        was_on = on
    total = {"compute_revenue": 0.0, "energy_cost": 0.0, "sell_back": 0.0, "energy_mwh": 0.0}
    for energy, hours, price in intervals.values():
        revenue, cost, back = site.worth(energy, hours, price)
        total["compute_revenue"] += revenue
        total["energy_cost"] += cost
        total["sell_back"] += back
        total["energy_mwh"] += energy
    total["starts"] = starts
    total["other_cost"] = starts * site.start
    total["profit"] = (
        total["compute_revenue"] - total["energy_cost"] + total["sell_back"] - total["other_cost"]
    )
    return total, [intervals[t][2] for t in sorted(intervals)]


def bound(site, prices, settle):
    """The best that one unit can do, in settlement intervals, backwards over all its states."""
    hours = settle / 3600
    parts = [site.min, site.max, site.start_at]
    parts += [r * settle for r in (site.up, site.down) if r]
    grain = 0
    for part in parts[1:]:
        a, b = round(abs(part - (site.min if part in parts[1:3] else 0)) * 1e6), grain
        while b:
            a, b = b, a % b
        grain = a
    levels = [site.min]
    while grain and levels[-1] + grain / 1e6 <= site.max + 1e-9:
        levels.append(levels[-1] + grain / 1e6)
    on_most = max(1, -(-int(site.min_on) // settle))
    off_most = max(1, -(-int(site.min_off) // settle))
    up = site.up * settle if site.up else 1e12
    down = site.down * settle if site.down else 1e12
    # A state is (off, steps) or (level, steps); the value is of what follows it.
    offs = [0.0] * (off_most + 1)
    ons = [[0.0] * (on_most + 1) for _ in levels]
    eps = 1e-7
    for price in reversed(prices):
        def profit(power):
            meter = power * (1 + site.share) + site.fixed
            revenue, cost, back = site.worth(meter * hours, hours, price)
            return revenue - cost + back
        idle = profit(0.0)
        gain = [profit(level) for level in levels]
        new_offs = [0.0] * (off_most + 1)
        for k in range(1, off_most + 1):
            best = idle + offs[min(k + 1, off_most)]
            if k == off_most:
                for i, level in enumerate(levels):
                    if level <= site.start_at + eps:
                        best = max(best, gain[i] - site.start + ons[i][1])
            new_offs[k] = best
        new_ons = [[0.0] * (on_most + 1) for _ in levels]
        for i, level in enumerate(levels):
            for k in range(1, on_most + 1):
                after = min(k + 1, on_most)
                best = -1e18
                for j, to in enumerate(levels):
                    if to - level <= up + eps and level - to <= down + eps:
                        best = max(best, gain[j] + ons[j][after])
                if k == on_most and level - site.min <= down + eps:
                    best = max(best, idle + offs[1])
                new_ons[i][k] = best
        offs, ons = new_offs, new_ons
    return ons[-1][on_most] if site.begins_on else offs[off_most]


def main(site_path, trace_path, result_path):
    site = Site(site_path)
    with open(result_path) as f:
        result = json.load(f)
    settle = result["settle_s"]
    traced = policies(trace_path, settle)
    wrong, prices = [], None
    for policy in result["policies"]:
        name = policy["name"]
        total, prices = recount(site, traced[name], settle)
        for key, value in total.items():
            if abs(value - policy[key]) > CENT:
                wrong.append(f"{name}.{key}: {policy[key]} told, {value} counted")
    best = bound(site, prices, settle)
    told = result["bound"]
    slack = CENT + (told["gap"] * abs(told["profit"]) if told["kind"] == "certified" else 0)
    if not -CENT <= told["profit"] - best <= slack:
        wrong.append(f"bound: {told['profit']} told, {best} counted")
    by_name = {p["name"]: p for p in result["policies"]}
    if {"always_on", "perfect_foresight"} <= by_name.keys():
        foot, head = by_name["always_on"]["profit"], by_name["perfect_foresight"]["profit"]
        for policy in result["policies"]:
            capture = (policy["profit"] - foot) / (head - foot) if head > foot else None
            if capture is not None and abs(capture - policy["capture"]) > 1e-6:
                wrong.append(f"{policy['name']}.capture: {policy['capture']}, {capture}")
    print("\n".join(wrong) or f"{len(traced)} policies and the bound {best:.2f} agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
