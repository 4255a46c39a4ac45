"""A training step: dllm/core/trainers/mdlm.py compute_loss, token normalisation, clipping, fused AdamW."""

import json

import torch
import torch.nn.functional as F
from transformers import ModernBertConfig, ModernBertForMaskedLM


def train(work, precision, files):
    torch.manual_seed(42)
    config = ModernBertConfig(**work["model"], attn_implementation="sdpa", reference_compile=False)
    # As the reference loads it: bf16 means bf16 weights and autocast.
    model = ModernBertForMaskedLM(config).to(getattr(torch, precision)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    shape = (work["batch"], work["seq"])
    with open(files["batches"]) as file:
        batches = [
            {
                "noised": torch.tensor(batch["noised"]).view(shape),
                "clean": torch.tensor(batch["clean"]).view(shape),
                "weights": torch.tensor(batch["weights"], dtype=torch.float32).view(shape),
            }
            for batch in json.load(file)
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
