"""
The reference's sampler and likelihood estimator on PyTorch, as the peer of run.mjs: one JSON request
per line on stdin, one answer per line on stdout.
Semantics: ZHZisZZ/dllm@ca17675 dllm/core/samplers/mdlm.py and dllm/core/eval/mdlm.py.
"""
import json
import math
import resource
import sys
import time

import torch
import torch.nn.functional as F
from transformers import AutoModelForMaskedLM

torch.set_num_threads(int(sys.argv[1]))
MODELS = {}


def load(directory, dtype):
    if (directory, dtype) not in MODELS:
        model = AutoModelForMaskedLM.from_pretrained(
            directory, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        )
        model.config.reference_compile = False
        MODELS[directory, dtype] = model.eval()
    return MODELS[directory, dtype]


@torch.no_grad()
def sample(r):
    """Temperature 0, low-confidence remasking. Times of the steps in ms, by the clock and of the processor, and the canvas."""
    model = load(r["dir"], r["dtype"])
    prompts = [torch.tensor(p) for p in r["prompts"]]
    new, block = r["new"], r["block"]
    width = new + max(len(p) for p in prompts)
    x = torch.full((len(prompts), width), r["eosId"])
    attention = torch.zeros_like(x)
    for j, p in enumerate(prompts):
        x[j, : len(p)] = p
        x[j, len(p) : len(p) + new] = r["maskId"]
        attention[j, : len(p) + new] = 1
    blocks = math.ceil(new / block)
    steps = math.ceil(r["steps"] / blocks)
    history, times, cpu_times = [x.clone()], [], []
    for b in range(blocks):
        left = block
        for i in range(steps):
            k = min(round(left / (steps - i)), left)
            left -= k
            if k == 0 or len(times) == r.get("limit"):
                continue
            start, cpu = time.perf_counter(), time.process_time()
            is_mask = x == r["maskId"]
            logits = model(x, attention_mask=attention).logits
            x0 = torch.argmax(logits, dim=-1)
            p = F.softmax(logits, dim=-1)
            x0_p = torch.squeeze(torch.gather(p, dim=-1, index=torch.unsqueeze(x0, -1)), -1)
            for j, prompt in enumerate(prompts):
                x0_p[j, len(prompt) + (b + 1) * block :] = -float("inf")
            x0 = torch.where(is_mask, x0, x)
            confidence = torch.where(is_mask, x0_p, -float("inf"))
            transfer = torch.zeros_like(x0, dtype=torch.bool)
            for j in range(len(prompts)):
                _, selected = torch.topk(confidence[j], k=k)
                transfer[j, selected] = True
            x[transfer] = x0[transfer]
            history.append(x.clone())
            times.append((time.perf_counter() - start) * 1e3)
            cpu_times.append((time.process_time() - cpu) * 1e3)
    return {"times": times, "cpuTimes": cpu_times, "sequences": x.tolist()}


@torch.no_grad()
def likelihood(r):
    """Estimates of [prefix, target] requests, and the time of all in ms."""
    model = load(r["dir"], r["dtype"])
    start, cpu, values = time.perf_counter(), time.process_time(), []
    b = r["batch"]
    for prefix, target in r["requests"]:
        n, losses = len(target), []
        row = torch.tensor(prefix + target)[None].repeat(b, 1)
        for _ in range(r["mc"] // b):
            k = int(torch.randint(1, n + 1, ()))
            counts = torch.round(torch.linspace(k, k + (b - 1) * (n / b), steps=b)).long()
            counts = ((counts - 1) % n) + 1
            chosen = torch.arange(n).repeat(b, 1) < counts.unsqueeze(1)
            for i in range(b):
                chosen[i] = chosen[i][torch.randperm(n)]
            masked = torch.cat((torch.zeros(b, len(prefix), dtype=torch.bool), chosen), dim=1)
            noisy = torch.where(masked, r["maskId"], row)
            ratio = (counts / n).unsqueeze(1).repeat(1, row.shape[1])
            logits = model(noisy).logits
            loss = F.cross_entropy(logits[masked], row[masked], reduction="none") / ratio[masked]
            losses.append(float(loss.sum() / b))
        values.append(-sum(losses) / len(losses))
    return {
        "ms": (time.perf_counter() - start) * 1e3,
        "cpuMs": (time.process_time() - cpu) * 1e3,
        "values": values,
    }


for line in sys.stdin:
    request = json.loads(line)
    answer = {"sample": sample, "likelihood": likelihood}[request["cmd"]](request)
    answer["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(answer), flush=True)
