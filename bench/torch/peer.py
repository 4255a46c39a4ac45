"""The peer's side of a measurement: what the reference (ZHZisZZ/dllm@ca17675) does with PyTorch.

Protocol as in ours.js: argv[1] is JSON {work, mode, threads, files}, mode being the precision; each line on
stdin asks for so many repetitions and is answered by one JSON line; at the end of stdin a last line tells
the peak memory.
"""

import json
import os
import sys
import time

start_of_process = time.perf_counter()
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402

from likelihood import likelihood  # noqa: E402
from sample import sample  # noqa: E402
from train import train  # noqa: E402


def peak_rss_bytes():
    try:
        with open("/proc/self/status") as status:
            return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except OSError:
        import resource

        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    kinds = {"train": train, "sample": sample, "likelihood": likelihood}
    repeat = kinds[job["work"]["kind"]](job["work"], job["mode"], job["files"])
    first = True
    for line in sys.stdin:
        runs = []
        for _ in range(int(line)):
            cpu = time.process_time()
            start = time.perf_counter()
            facts = repeat()
            ms = 1000 * (time.perf_counter() - start)
            runs.append({"ms": ms, "cpuMs": 1000 * (time.process_time() - cpu), **facts})
        answer = {"runs": runs}
        if first:
            answer["startupMs"] = 1000 * (time.perf_counter() - start_of_process)
        first = False
        print(json.dumps(answer), flush=True)
    print(json.dumps({"peakRssBytes": peak_rss_bytes()}), flush=True)


main()
