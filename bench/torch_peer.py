"""The peer's side of a measurement: what the reference (ZHZisZZ/dllm@ca17675) does with PyTorch.

Protocol as in ours.js: argv[1] is JSON {work, threads, precision, data}; each line on stdin asks for so
many repetitions and is answered by one JSON line; at the end of stdin a last line tells the peak memory.
"""

import json
import os
import sys
import time

start_of_process = time.perf_counter()
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from transformers import ModernBertConfig, ModernBertForMaskedLM  # noqa: E402


def build_model(work, precision):
    torch.manual_seed(42)
    config = ModernBertConfig(**work["model"], attn_implementation="sdpa", reference_compile=False)
    # As the reference loads it: bf16 means bf16 weights and autocast.
    return ModernBertForMaskedLM(config).to(getattr(torch, precision))


def train(work, precision, data):
    """dllm/core/trainers/mdlm.py compute_loss with token normalisation, clipping, fused AdamW."""
    model = build_model(work, precision).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    shape = (work["batch"], work["seq"])
    batches = [
        {
            "noised": torch.tensor(batch["noised"]).view(shape),
            "clean": torch.tensor(batch["clean"]).view(shape),
            "weights": torch.tensor(batch["weights"], dtype=torch.float32).view(shape),
        }
        for batch in data
    ]
    count = 0

    def step():
        nonlocal count
        batch = batches[count % len(batches)]
        count += 1
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(input_ids=batch["noised"]).logits
        logits = logits.float()
        nll = F.cross_entropy(logits.transpose(1, 2), batch["clean"], reduction="none")
        loss = (nll * batch["weights"]).sum()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return {"loss": loss.item(), "norm": norm.item()}

    return step


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
    with open(job["data"]) as file:
        data = json.load(file)
    repeat = {"train": train}[job["work"]["kind"]](job["work"], job["precision"], data)
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
