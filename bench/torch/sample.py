"""The first denoising steps of one prompt, temperature 0, low-confidence remasking.

Semantics: dllm/core/samplers/mdlm.py.
"""

import math
import time

import torch
import torch.nn.functional as F

from model import load


def sample(work, precision, files):
    model = load(files, precision)
    ids, prompt = work["ids"], work["prompt"]
    start, new, block = len(prompt), work["newTokens"], work["blockSize"]
    steps = new // math.ceil(new / block)

    @torch.no_grad()
    def denoise():
        x = torch.full((1, start + new), ids["maskId"])
        x[0, :start] = torch.tensor(prompt)
        attention = torch.ones_like(x)
        times, cpu_times = [], []
        for step in range(work["steps"]):
            began, cpu = time.perf_counter(), time.process_time()
            end = start + (step // steps + 1) * block
            is_mask = x == ids["maskId"]
            logits = model(x, attention_mask=attention).logits
            x0 = torch.argmax(logits, dim=-1)
            p = F.softmax(logits, dim=-1)
            x0_p = torch.squeeze(torch.gather(p, dim=-1, index=torch.unsqueeze(x0, -1)), -1)
            x0_p[0, end:] = -float("inf")
            x0 = torch.where(is_mask, x0, x)
            confidence = torch.where(is_mask, x0_p, -float("inf"))
            _, selected = torch.topk(confidence[0], k=1)
            x[0, selected] = x0[0, selected]
            times.append(1000 * (time.perf_counter() - began))
            cpu_times.append(1000 * (time.process_time() - cpu))
        return {"ms": median(times), "cpuMs": median(cpu_times), "tokens": x[0].tolist()}

    return denoise


def median(values):
    return sorted(values)[len(values) // 2]
