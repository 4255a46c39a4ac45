"""Expected values of ../dropout.test.ts, from Hugging Face transformers under injected keep masks.

    DLLM_DROPOUT_CASES=cases.json npx vitest run test/golden/dropout.test.ts   # writes the inputs
    python reference.py cases.json > reference.json

Made with Python 3.11, torch 2.13.0 (CPU, float32), transformers 4.57.6, eager attention. Every
dropout of a forward pass takes the next mask of the case, in the order of the calls.
"""

import json
import sys

import torch
from torch import nn

masks = []


def dropout(x, p=0.5, training=True, inplace=False):
    if not training or p == 0:
        return x
    mask = torch.tensor(masks.pop(0), dtype=torch.float32)
    return x * mask.reshape(x.shape) / (1 - p)


nn.functional.dropout = dropout
nn.Dropout.forward = lambda self, x: dropout(x, self.p, self.training)

from transformers.models.bert.configuration_bert import BertConfig  # noqa: E402
from transformers.models.bert.modeling_bert import BertForMaskedLM  # noqa: E402
from transformers.models.modernbert.configuration_modernbert import ModernBertConfig  # noqa: E402
from transformers.models.modernbert.modeling_modernbert import ModernBertForMaskedLM  # noqa: E402
from transformers.models.roberta.configuration_roberta import RobertaConfig  # noqa: E402
from transformers.models.roberta.modeling_roberta import RobertaForMaskedLM  # noqa: E402

classes = {
    "bert": (BertConfig, BertForMaskedLM),
    "roberta": (RobertaConfig, RobertaForMaskedLM),
    "modernbert": (ModernBertConfig, ModernBertForMaskedLM),
}


def run(case):
    config_class, model_class = classes[case["config"]["model_type"]]
    extra = {"reference_compile": False} if config_class is ModernBertConfig else {}
    config = config_class(**case["config"], **extra, attn_implementation="eager")
    model = model_class(config).train()
    for name, parameter in model.named_parameters():
        values = torch.tensor(case["parameters"][name], dtype=torch.float32)
        parameter.data = values.reshape(parameter.shape)
    model.tie_weights()
    masks[:] = case["masks"]
    ids = torch.tensor(case["input_ids"])
    mask = torch.tensor(case["attention_mask"])
    logits = model(input_ids=ids, attention_mask=mask).logits.flatten(0, 1)
    assert not masks, f"{len(masks)} masks are left"
    targets = torch.tensor(case["targets"])
    nll = nn.functional.cross_entropy(
        logits[torch.tensor(case["positions"])], targets, reduction="none"
    )
    (nll * torch.tensor(case["weights"])).sum().backward()
    gradients = {
        # The size of the gradient, and its component along cos(0), cos(1), ...
        name: [
            p.grad.norm().item(),
            (p.grad.flatten() * torch.arange(p.numel()).cos()).sum().item(),
        ]
        for name, p in model.named_parameters()
    }
    return {"nll": nll.tolist(), "gradients": gradients}


with open(sys.argv[1]) as file:
    print(json.dumps({name: run(case) for name, case in json.load(file).items()}, indent=1))
