#!/usr/bin/env python3
"""A foreign meter is read and a foreign breaker told: the daemon speaks Modbus TCP as others do.

pymodbus, which knows nothing of this project, serves one meter a case on loopback: every number
a configuration can name, both orders of words, both tables. `headgate run` reads each, and its
status is held against what pymodbus was given. Then the meter changes, says what cannot be,
and is gone and back. Last, pymodbus is a breaker too: simulated machines go to sleep, its meter
shows nothing of it until the breaker opens, and so the daemon has to open it, and leaves it open while there is no price to rise at.

    python3 drive_meter.py headgate

Prints one line a case, and ends with exit code 0 only when every case was as it must be.
"""

import asyncio
import importlib.metadata
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

from pymodbus.client import ModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

TYPES = ModbusTcpClient.DATATYPE
# Name here, type there, scale, the number in the register, the watts it stands for.
CASES = [
    ("u16", TYPES.UINT16, "100 W", 8_123, 812_300),
    ("i16", TYPES.INT16, "1 kW", 812, 812_000),
    ("u32", TYPES.UINT32, "0.1 W", 8_123_455, 812_346),
    ("i32", TYPES.INT32, "1 W", 812_345, 812_345),
    ("u64", TYPES.UINT64, "0.001 W", 812_345_499, 812_345),
    ("i64", TYPES.INT64, "1 W", 812_345, 812_345),
    ("f32", TYPES.FLOAT32, "1 kW", 812.5, 812_500),
    ("f64", TYPES.FLOAT64, "1 MW", 0.812345, 812_345),
]
UNIT = 17
AT = 3059
# Nothing here measures time; a loaded build machine is slow.
PATIENCE_S = 60

SITE = """schema = 1
[site]
name = "Test"
timezone = "America/Chicago"
market = "ercot"
settlement_point = {{ name = "HB_HOUSTON", type = "HU" }}
[limits]
import = "1 MW"
[value]
source = "hashprice"
hashprice = "45 USD/PH/day"
[[cohort]]
name = "a"
driver = "luxos"
hosts = "127.1.0.1"
curve = [["2794 W", "121.8 TH/s"]]
sleep = "30 W"
[drivers.luxos]
kind = "luxos"
[meters.poi]
kind = "modbus"
address = "127.0.0.1:{port}"
unit_id = {unit}
every = "100 ms"
stale_after = "2 s"
[meters.poi.registers.power]
at = {at}
type = "{shape}"
scale = "{scale}"
table = "{table}"
low_word_first = {low}
import_negative = {negative}
"""


class Failed(Exception):
    """The daemon did not do what it must."""


class Meter:
    """pymodbus with one number."""

    def __init__(self, shape, order):
        self.shape, self.order = shape, order
        self.server = None

    def words(self, value):
        return ModbusTcpClient.convert_to_registers(value, self.shape, word_order=self.order)

    async def start(self, value, table, port=0):
        words = SimData(AT, values=self.words(value), datatype=DataType.REGISTERS)
        # Coils, discrete inputs, holding and input registers; each table must hold something.
        bits = SimData(0, values=False, datatype=DataType.BITS)
        none = SimData(0, datatype=DataType.REGISTERS)
        tables = ([words], [none]) if table == "holding" else ([none], [words])
        self.function = 3 if table == "holding" else 4
        device = SimDevice(UNIT, ([bits], [bits], *tables))
        self.server = ModbusTcpServer(device, address=("127.0.0.1", port))
        await self.server.serve_forever(background=True)
        return self.server.transport.sockets[0].getsockname()[1]

    async def says(self, value):
        await self.server.async_setValues(UNIT, self.function, AT, self.words(value))

    async def stop(self):
        await self.server.shutdown()


class Daemon:
    """`headgate run` in a folder of its own."""

    def __init__(self, headgate, folder, text):
        self.headgate, self.data = headgate, folder / "data"
        site = folder / "site.toml"
        site.write_text(text)
        command = [headgate, "run", site, "--data", self.data, "--port", "0"]
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    async def until(self, what, test):
        """Waits until the status passes a test."""
        last = None
        for _ in range(PATIENCE_S * 10):
            args = [self.headgate, "status", "--data", self.data, "--format", "json"]
            pipe = asyncio.subprocess.PIPE
            asked = await asyncio.create_subprocess_exec(*args, stdout=pipe, stderr=pipe)
            out, _ = await asked.communicate()
            if asked.returncode == 0:
                last = json.loads(out)
                if last["meters"] and test(last):
                    return last
            await asyncio.sleep(0.1)
        self.log.seek(0)
        raise Failed(f"{what}: not within {PATIENCE_S} s; {last}\n{self.log.read()[-2000:]}")

    def end(self):
        self.process.kill()
        self.process.wait()


def measures(watts):
    def test(s):
        poi = s["meters"][0]
        return s["measured_w"] == watts and poi["power_w"] == watts and not poi["failing"]

    return test


def fails(text):
    return lambda s: s["meters"][0]["failing"] and text in s["meters"][0]["last_error"]


async def reads(headgate, n, case, folder):
    name, shape, scale, number, watts = case
    order, table = ("big", "little")[n % 2], ("holding", "input")[n // 2 % 2]
    negative = name == "i16"
    meter = Meter(shape, order)
    port = await meter.start(-number if negative else number, table)
    low, negative = (str(flag).lower() for flag in (order == "little", negative))
    keys = {"shape": name, "scale": scale, "table": table, "low": low, "negative": negative}
    daemon = Daemon(headgate, folder, SITE.format(unit=UNIT, at=AT, port=port, **keys))
    try:
        await daemon.until(f"{watts} W", measures(watts))
        if name == "f32":
            await misbehaves(meter, daemon, port, table, number, watts)
        return f"{watts} W from {table} registers, {order} end first"
    finally:
        daemon.end()
        await meter.stop()


async def misbehaves(meter, daemon, port, table, number, watts):
    alarmed = lambda s: "what it says cannot be" in json.dumps(s["alarms"])
    for number_said, why in [
        (float("nan"), "holds no value"),
        (float("inf"), "holds no value"),
        (-number, "is export"),
        (number * 1000, "more than"),
        (number / 1000, "a thousand times off"),
    ]:
        await meter.says(number_said)
        s = await daemon.until(why, lambda s: fails(why)(s) and alarmed(s))
        if s["meters"][0]["power_w"] != watts:
            raise Failed(f"{number_said} was believed: {s['meters']}")
    await meter.says(number)
    await daemon.until("all is well", lambda s: measures(watts)(s) and not alarmed(s))
    await meter.stop()
    await daemon.until("it is gone", lambda s: s["meters"][0]["stale"])
    # Another register, so that this one is refused; then as it was.
    await meter.start(number, "holding" if table == "input" else "input", port)
    await daemon.until("an exception", fails("it refuses"))
    await meter.stop()
    await meter.start(number, table, port)
    await daemon.until("it is back", measures(watts))


BREAKER = """
[[switch]]
name = "feeder"
kind = "modbus"
address = "127.0.0.1:{port}"
unit_id = {unit}
write = {{ table = "holding", at = 5, on = 170, off = 85 }}
read_back = {{ table = "discrete", at = 6 }}
feeds = ["127.1.0.1"]
allowed = true
every = "200 ms"
"""


async def breaks(headgate, folder):
    words = lambda at, value: SimData(at, values=[value], datatype=DataType.REGISTERS)
    bits = lambda at: [SimData(at, values=True, datatype=DataType.BITS)]
    device = SimDevice(UNIT, (bits(0), bits(6), [words(5, 170), words(AT, 2_800)], [words(0, 0)]))
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]

    async def follows():
        """Lets the meter and the contact follow what was written."""
        while True:
            told = (await server.async_getValues(UNIT, 3, 5, 1))[0]
            if told in (170, 85):
                await server.async_setValues(UNIT, 2, 6, [told == 170])
                await server.async_setValues(UNIT, 3, AT, [2_800 if told == 170 else 100])
            await asyncio.sleep(0.05)

    keys = {"shape": "u16", "scale": "1 W", "table": "holding", "low": "false", "negative": "false"}
    text = SITE.format(unit=UNIT, at=AT, port=port, **keys) + BREAKER.format(port=port, unit=UNIT)
    text += '[policy]\nmode = "auto"\n'
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    farm = subprocess.Popen(
        [headgate, "simfarm", "--port", "4028", "--machines", "1", "--seed", "1"],
        stdin=pipe, stdout=null, stderr=null,
    )
    daemon = Daemon(headgate, folder, text)
    task = asyncio.create_task(follows())
    stands = lambda closed: lambda s: s["switches"][0]["closed"] is closed
    try:
        full = lambda s: stands(True)(s) and measures(2_800)(s) and s["ready"]
        await daemon.until("closed", full)
        ask = ["fleet", "curtail", "2 kW", "--by", "15 s", "--reason", "oracle", "--format", "json"]
        asked = await asyncio.create_subprocess_exec(
            headgate, *ask, "--data", daemon.data, stdout=pipe, stderr=null
        )
        out, _ = await asked.communicate()
        report = json.loads(out)
        if not (report["in_time"] and report["by_meter"]):
            raise Failed(f"the curtailment was not proven: {report}")
        await daemon.until("open", stands(False))
        resume = [headgate, "fleet", "resume", "--data", daemon.data]
        subprocess.run(resume, check=True, stdout=null)
        left = lambda s: any("is left open" in str(alarm) for alarm in s["alarms"])
        await daemon.until("left open, as no price is known", left)
        return "opened for a deadline, read back, and left open where nothing may rise"
    finally:
        daemon.end()
        task.cancel()
        farm.kill()
        farm.wait()
        await server.shutdown()


async def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    # It logs each exception that it was asked to give.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    version, failed = importlib.metadata.version("pymodbus"), 0
    cases = [(case[0], lambda f, n=n, case=case: reads(sys.argv[1], n, case, f))
             for n, case in enumerate(CASES)]
    cases.append(("breaker", lambda f: breaks(sys.argv[1], f)))
    for name, run in cases:
        with tempfile.TemporaryDirectory(prefix="hg-meter-") as folder:
            try:
                said = await run(Path(folder))
                print(f"ok     pymodbus {version} {name}: {said}", flush=True)
            except Exception as wrong:  # one case's failure must not hide another's
                failed += 1
                print(f"FAILED pymodbus {name}: {type(wrong).__name__}: {wrong}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
