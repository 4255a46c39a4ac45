"""The model that both sides load, from the directory that the harness wrote."""

import torch
from transformers import AutoModelForMaskedLM


def load(files, precision):
    model = AutoModelForMaskedLM.from_pretrained(
        files["model"], dtype=getattr(torch, precision), attn_implementation="sdpa"
    )
    model.config.reference_compile = False
    return model.eval()
