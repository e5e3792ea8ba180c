#!/usr/bin/env python3
"""Foreign clients drive simulated machines of other firmwares than LuxOS.

pywhatsminer and pyasic drive Whatsminers of the v2 API, pyasic drives stock Antminers. As in
drive_luxos.py, what they say is held against the farm's own meter, and it must run in a network
namespace of its own, because the clients insist on the ports of the real machines:

    unshare -n sh -c 'ip link set lo up && python3 drive_firmwares.py headgate simfarm'

Each client gets a farm of its own. Prints one line a client, and ends with exit code 0 only when
every step of every client was as it must be.
"""

import asyncio
import os
import sys
import tempfile

from drive_luxos import Farm, command_line, must, verdicts

MACHINES = 6


async def pyasic_finds(farm, make):
    import pyasic

    miner = await pyasic.get_miner(farm.hosts[0])
    must(miner is not None, f"pyasic found nothing at {farm.hosts[0]}")
    must(miner.make == make, f"pyasic took the machine for {miner.make} {miner.model}")
    return miner


def near(watts, of):
    return abs(watts - of) <= of * 0.10


def pywhatsminer_drives(farm):
    # It keeps its token in a file of the folder it runs in.
    os.chdir(tempfile.mkdtemp())
    from pywhatsminer import Client

    client = Client(farm.hosts[0], 4028, "admin")
    whole = farm.watts()
    answer = client.Power.set_percent(60)
    must(answer["Code"] == 131, f"a share of the power was answered with {answer}")
    trimmed = farm.until("trimmed", lambda w: whole - w >= farm.each * 0.3)
    answer = client.Power.off("true")
    must(answer["Code"] == 131, f"power_off was answered with {answer}")
    asleep = farm.until_down(whole, 1)
    answer = client.Power.on()
    must(answer["Code"] == 131, f"power_on was answered with {answer}")
    rising = farm.until_rising(asleep, 1)
    return f"60 % {trimmed - whole} W, off {asleep - whole} W, on {rising - asleep:+} W and rising"


async def pyasic_drives_whatsminer(farm):
    miner = await pyasic_finds(farm, "WhatsMiner")
    watts = await miner.get_wattage()
    must(near(watts, farm.each), f"pyasic reads {watts} W")
    whole = farm.watts()
    must(await miner.stop_mining() is True, "pyasic could not stop the machine")
    asleep = farm.until_down(whole, 1)
    must(await miner.resume_mining() is True, "pyasic could not resume the machine")
    rising = farm.until_rising(asleep, 1)
    must(await miner.set_power_limit(2500) is True, "pyasic could not set a power limit")
    must(await miner.get_wattage_limit() == 2500, "the limit is not what pyasic set")
    return f"is {type(miner).__name__}, stopped {asleep - whole} W, " + (
        f"resumed {rising - asleep:+} W and rising, limit 2500 W"
    )


async def pyasic_drives_antminer(farm):
    miner = await pyasic_finds(farm, "AntMiner")
    pools = (await miner.get_config()).pools.as_dict()
    whole = farm.watts()
    # It says so whatever the machine does; the meter has to tell.
    must(await miner.stop_mining() is True, "pyasic could not stop the machine")
    asleep = farm.until_down(whole, 1)
    must((await miner.get_config()).mining_mode.mode == "sleep", "its mode is not sleep")
    must(await miner.resume_mining() is True, "pyasic could not resume the machine")
    rising = farm.until_rising(asleep, 1)
    must((await miner.get_config()).pools.as_dict() == pools, "the pools are others than before")
    return f"is {type(miner).__name__}, stopped {asleep - whole} W, " + (
        f"resumed {rising - asleep:+} W and rising, pools as before"
    )


async def pyasic_rs_drives(farm):
    from pyasic_rs import MinerFactory

    miner = await MinerFactory().get_miner(farm.hosts[0])
    must(miner is not None, f"pyasic_rs found nothing at {farm.hosts[0]}")
    kind = f"{miner.make} {miner.model} {miner.firmware}"
    must(miner.supports_pause and miner.supports_resume, "pyasic_rs cannot pause this machine")
    whole = farm.watts()
    must(await miner.pause() is True, "pyasic_rs could not pause the machine")
    asleep = farm.until_down(whole, 1)
    must(await miner.resume() is True, "pyasic_rs could not resume the machine")
    rising = farm.until_rising(asleep, 1)
    return f"is {kind}, paused {asleep - whole} W, resumed {rising - asleep:+} W and rising"


async def pyasic_drives_avalon(farm):
    miner = await pyasic_finds(farm, "AvalonMiner")
    whole = farm.watts()
    must(await miner.stop_mining() is True, "pyasic could not stop the machine")
    asleep = farm.until_down(whole, 1)
    # The machine closes the connection without an answer, and pyasic takes that for a failure.
    await miner.resume_mining()
    rising = farm.until_rising(asleep, 1)
    return f"is {type(miner).__name__}, stopped {asleep - whole} W, " + (
        f"resumed {rising - asleep:+} W and rising"
    )


# Client, firmware, port that is told first, watts of one machine.
DRIVES = [
    ("pywhatsminer", "whatsminer2", 4028, 3441, pywhatsminer_drives),
    ("pyasic", "whatsminer2", 4028, 3441, lambda f: asyncio.run(pyasic_drives_whatsminer(f))),
    ("pyasic", "antminer", 80, 3068, lambda f: asyncio.run(pyasic_drives_antminer(f))),
    ("pyasic", "avalon", 4028, 3300, lambda f: asyncio.run(pyasic_drives_avalon(f))),
    ("pyasic_rs", "whatsminer2", 4028, 3441, lambda f: asyncio.run(pyasic_rs_drives(f))),
    ("pyasic_rs", "whatsminer3", 4028, 3441, lambda f: asyncio.run(pyasic_rs_drives(f))),
    ("pyasic_rs", "antminer", 80, 3068, lambda f: asyncio.run(pyasic_rs_drives(f))),
]


def main():
    command = command_line(__doc__)
    command[0] = os.path.abspath(command[0])
    command += ["--usual-ports", "--machines", str(MACHINES)]

    def of(name, firmware, port, watts, drives):
        start = lambda: Farm([*command, "--firmware", firmware], port, watts)
        return name, f" on {firmware}", start, drives

    sys.exit(1 if verdicts([of(*drive) for drive in DRIVES]) else 0)


if __name__ == "__main__":
    main()
