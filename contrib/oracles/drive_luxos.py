#!/usr/bin/env python3
"""Foreign clients drive the simulated farm: the proof that it speaks the real protocol.

Three clients that know nothing of this project (pyasic, luxos, pyasic_rs) find, stop and resume
simulated LuxOS machines. What each of them says is held against the farm's own meter, which
knows what the machines really draw. They expect port 4028, so run this in a network namespace:

    unshare -n sh -c 'ip link set lo up && python3 drive_luxos.py headgate simfarm --port 4028'

The command must print one line {"port", "first", "machines"}, and the meter as one line with
"power_w" for each line `meter` on its standard input; `headgate simfarm` and the example `farm`
of headgate-sim do. Each client gets a farm of its own. Prints one line a client, and ends with
exit code 0 only when every step of every client was as it must be.
"""

import asyncio
import importlib.metadata
import json
import os
import subprocess
import sys
import time

PORT = 4028
# The farm's first machines are Antminers of this kind; what one draws may be off by so much.
KIND = "LUXMinerS19kPro"
WATTS = 2794
WATTS_OFF = 0.10
# Asleep a machine draws some 30 W; a fall or rise below this is not its own.
NOISE_W = 60
POLL_S = 0.25
# Nothing here measures time; a loaded build machine is slow, and a machine rises in minutes.
PATIENCE_S = 150


class Failed(Exception):
    """A client or the farm did not do what it must."""


def must(condition, sentence):
    if not condition:
        raise Failed(sentence)


class Farm:
    """The farm program, and the truth about its machines."""

    def __init__(self, command, port=PORT, each=WATTS):
        self.each = each
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        first = self.process.stdout.readline()
        must(first, f"the farm did not start: {' '.join(command)}")
        hello = json.loads(first)
        must(hello["port"] == port, f"the farm listens on {hello['port']}, not on {port}")
        must(hello["machines"] >= 6, f"the farm has {hello['machines']} machines, and 6 are driven")
        head, last = hello["first"].rsplit(".", 1)
        self.hosts = [f"{head}.{int(last) + n}" for n in range(6)]

    def watts(self):
        """What all machines really draw now."""
        self.process.stdin.write("meter\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["power_w"]

    def until(self, what, holds):
        """Waits until the meter shows what it must."""
        deadline = time.monotonic() + PATIENCE_S
        watts = self.watts()
        while not holds(watts):
            must(time.monotonic() < deadline, f"not {what}: the meter shows {watts} W")
            time.sleep(POLL_S)
            watts = self.watts()
        return watts

    def until_down(self, before, machines):
        """Waits until so many machines have left the meter, and no other has."""
        one = (self.each - NOISE_W) * (1 - WATTS_OFF)
        watts = self.until(f"{machines} down", lambda w: before - w >= machines * one)
        must(before - watts <= machines * self.each * (1 + WATTS_OFF), "more fell than were told")
        return watts

    def until_rising(self, asleep, machines):
        """Waits until as much as so many sleeping machines could not draw is back."""
        return self.until(f"{machines} rising", lambda w: w - asleep >= machines * 3 * NOISE_W)

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=PATIENCE_S)


def near(watts):
    return abs(watts - WATTS) <= WATTS * WATTS_OFF


async def pyasic_drives(farm):
    import pyasic

    miner = await pyasic.get_miner(farm.hosts[0])
    must(miner is not None, f"pyasic found nothing at {farm.hosts[0]}")
    must(type(miner).__name__ == KIND, f"pyasic took the machine for {type(miner).__name__}")
    data = await miner.get_data()
    must(near(data.wattage), f"pyasic reads {data.wattage} W")
    must(data.wattage_limit == WATTS, f"pyasic reads a limit of {data.wattage_limit} W")
    whole = farm.watts()
    must(await miner.set_power_limit(2000) is True, "pyasic could not set a power limit")
    limited = farm.until("limited", lambda w: whole - w >= 700)
    must(await miner.stop_mining() is True, "pyasic could not stop the machine")
    asleep = farm.until_down(whole, 1)
    must(await miner.resume_mining() is True, "pyasic could not resume the machine")
    rising = farm.until_rising(asleep, 1)
    return f"is {KIND}, limit 2000 W {limited - whole} W, stopped {asleep - whole} W, " + (
        f"resumed {rising - asleep:+} W and rising"
    )


def luxos_runs(farm, action):
    command = [os.path.join(os.path.dirname(sys.executable), "luxos")]
    command += ["--range", f"{farm.hosts[0]}-{farm.hosts[4]}", "--json"]
    command += ["--cmd", "curtail", "--params", action]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    must(done.returncode == 0, f"luxos ended with {done.returncode}: {done.stderr}")
    # The report is one JSON document among lines of logging.
    report, _ = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{") :])
    must(len(report) == 5, f"luxos reports {len(report)} machines")
    return [answer["result"] for answer in report.values() if answer["status"]]


def luxos_drives(farm):
    whole = farm.watts()
    slept = [r for r in luxos_runs(farm, "sleep") if "CURTAIL" in r]
    must(len(slept) == 5, f"luxos put {len(slept)} of 5 to sleep")
    asleep = farm.until_down(whole, 5)
    again = {r["STATUS"][0]["Msg"] for r in luxos_runs(farm, "sleep")}
    must(again == {"Miner is already in sleep mode"}, f"sleeping again was told {again}")
    woken = [r for r in luxos_runs(farm, "wakeup") if "CURTAIL" in r]
    must(len(woken) == 5, f"luxos woke {len(woken)} of 5")
    rising = farm.until_rising(asleep, 5)
    return f"5/5 asleep {asleep - whole} W, 5/5 told so when asked again, 5/5 woken " + (
        f"{rising - asleep:+} W and rising"
    )


async def pyasic_rs_drives(farm):
    from pyasic_rs import MinerFactory

    miner = await MinerFactory().get_miner(farm.hosts[0])
    must(miner is not None, f"pyasic_rs found nothing at {farm.hosts[0]}")
    kind = f"{miner.make} {miner.model} {miner.firmware}"
    watts = await miner.get_wattage()
    must(near(watts), f"pyasic_rs reads {watts} W")
    must(miner.supports_pause and miner.supports_resume, "pyasic_rs cannot pause this machine")
    whole = farm.watts()
    must(await miner.pause() is True, "pyasic_rs could not pause the machine")
    asleep = farm.until_down(whole, 1)
    # Its get_is_mining says True of every LuxOS machine without asking it (0.8.6), so the rate
    # has to tell.
    must((await miner.get_hashrate()).value == 0, "pyasic_rs reads a hash rate asleep")
    must(await miner.resume() is True, "pyasic_rs could not resume the machine")
    rising = farm.until_rising(asleep, 1)
    return f"is {kind}, paused {asleep - whole} W, resumed {rising - asleep:+} W and rising"


CLIENTS = [
    ("pyasic", lambda farm: asyncio.run(pyasic_drives(farm))),
    ("luxos", luxos_drives),
    ("pyasic_rs", lambda farm: asyncio.run(pyasic_rs_drives(farm))),
]


def verdicts(drives):
    """How many of these failed: (client, which farm in words, how to start it, what to do there)."""
    failed = 0
    for name, on, start, drive in drives:
        farm = None
        try:
            version = importlib.metadata.version(name)
            farm = start()
            print(f"ok     {name} {version}{on}: {drive(farm)}", flush=True)
        except Exception as wrong:  # one client's failure must not hide another's
            failed += 1
            print(f"FAILED {name}{on}: {type(wrong).__name__}: {wrong}", flush=True)
        finally:
            if farm is not None:
                farm.close()
    return failed


def command_line(doc):
    """The command of the simulated farm, as told."""
    command = sys.argv[1:]
    if not command or command[0].startswith("-"):
        print(doc, file=sys.stderr)
        sys.exit(2)
    return command


def main():
    command = command_line(__doc__)
    failed = verdicts([(name, "", lambda: Farm(command), drives) for name, drives in CLIENTS])
    # The wheel of pyasic_rs can abort at interpreter exit; by then the verdict is out.
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    main()
