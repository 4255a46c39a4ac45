"""Monte-Carlo log-likelihoods of one question's choices. Semantics: dllm/core/eval/mdlm.py."""

import torch
import torch.nn.functional as F

from model import load


def likelihood(work, precision, files):
    model = load(files, precision)
    mask_id, rows = work["ids"]["maskId"], work["mcNum"]

    @torch.no_grad()
    def question():
        values = []
        for request in work["requests"]:
            prefix, target = request["prefix"], request["target"]
            n = len(target)
            row = torch.tensor(prefix + target)[None].repeat(rows, 1)
            k = int(torch.randint(1, n + 1, ()))
            counts = torch.round(torch.linspace(k, k + (rows - 1) * (n / rows), steps=rows)).long()
            counts = ((counts - 1) % n) + 1
            chosen = torch.arange(n).repeat(rows, 1) < counts.unsqueeze(1)
            for i in range(rows):
                chosen[i] = chosen[i][torch.randperm(n)]
            masked = torch.cat((torch.zeros(rows, len(prefix), dtype=torch.bool), chosen), dim=1)
            noisy = torch.where(masked, mask_id, row)
            ratio = (counts / n).unsqueeze(1).repeat(1, row.shape[1])
            logits = model(noisy).logits
            loss = F.cross_entropy(logits[masked], row[masked], reduction="none") / ratio[masked]
            values.append(-float(loss.sum() / rows))
        return {"values": values}

    return question
