#!/usr/bin/env python3
"""Times pyasic's stop_mining over a whole simulated LuxOS farm, by the limit on open calls.

    unshare -n sh -c 'ip link set lo up && python3 bench_pyasic.py 50,200 COMMAND...'

COMMAND serves the farm on port 4028, the only one pyasic knows, and prints one line
{"port", "first", "machines"}; each limit gets a farm of its own. Finding the machines is not
timed: one is found, and the others are taken to be of its class. Prints one JSON document.
"""

import asyncio
import importlib.metadata
import ipaddress
import json
import subprocess
import sys
import time

PORT = 4028


async def stop_all(first, machines, limit):
    import pyasic

    found = await pyasic.get_miner(first)
    if found is None:
        sys.exit(f"pyasic found nothing at {first}")
    start = ipaddress.ip_address(first)
    miners = [type(found)(str(start + n)) for n in range(machines)]
    slots = asyncio.Semaphore(limit)

    async def stop(miner):
        async with slots:
            return await miner.stop_mining()

    wall, cpu = time.perf_counter(), time.process_time()
    answers = await asyncio.gather(*(stop(m) for m in miners), return_exceptions=True)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    ok = sum(a is True for a in answers)
    return {"limit": limit, "machines": machines, "ok": ok, "wall_s": wall, "cpu_s": cpu}


def main():
    limits, command = sys.argv[1], sys.argv[2:]
    rows = []
    for limit in map(int, limits.split(",")):
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as farm:
            try:
                hello = json.loads(farm.stdout.readline())
                if hello["port"] != PORT:
                    sys.exit(f"the farm listens on {hello['port']}, not on {PORT}")
                rows.append(asyncio.run(stop_all(hello["first"], hello["machines"], limit)))
            finally:
                farm.terminate()
    print(json.dumps({"version": importlib.metadata.version("pyasic"), "rows": rows}))


if __name__ == "__main__":
    main()
