"""One GPT training step in PyTorch eager mode on the CPU, timed: a peer of `npm run bench -- train`.

    python torchTrain.py WORKLOAD STEPS        # WORKLOAD: gpt-5.7m, gpt-28m or tiny; STEPS >= 4

Prints one JSON line: {"step_ms", "all_ms", "losses": [first, last], "version", "threads", "params", "tokens", "scaled", "optimizer"};
"scaled" is always false: the whole batch is run.
The first WARM_UP steps are left out of the median. Two intra-op threads, float32, no torch.compile.
Both of PyTorch's faster AdamW implementations are tried for a few steps and the quicker one is kept.
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

WORKLOADS = {
    "gpt-5.7m": dict(vocab=4096, width=256, layers=6, heads=8, ffn=672, batch=8, seq=256),
    "gpt-28m": dict(vocab=8192, width=512, layers=8, heads=8, ffn=1376, batch=8, seq=256),
    "tiny": dict(vocab=64, width=32, layers=2, heads=2, ffn=48, batch=2, seq=16),
}
WARM_UP = 3
THREADS = 2
EPS = 1e-5
ROTARY_BASE = 10000.0


class RMSNorm(nn.Module):
    """Root-mean-square norm: the fused functional form where this PyTorch has one (2.4 and later)."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        if hasattr(F, "rms_norm"):
            return F.rms_norm(x, self.weight.shape, self.weight, EPS)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * self.weight


def rotate(x, cos, sin):
    """Rotary embedding over the whole head dimension, rotate-half form. x: [batch, heads, seq, head]."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


class Block(nn.Module):
    def __init__(self, width, heads, ffn):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * ffn, bias=False)
        self.down = nn.Linear(ffn, width, bias=False)

    def forward(self, x, cos, sin):
        batch, seq, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, seq, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, seq, width))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    """Decoder with a tied embedding."""

    def __init__(self, vocab, width, layers, heads, ffn, seq, **_):
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(Block(width, heads, ffn) for _ in range(layers))
        self.norm = RMSNorm(width)
        head = width // heads
        angles = torch.outer(torch.arange(seq).float(), ROTARY_BASE ** (-torch.arange(0, head, 2).float() / head))
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.linear(self.norm(x), self.embedding.weight)


def train_step(model, optimizer, ids, targets):
    """One step, from ids to updated weights; returns (loss, seconds)."""
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    value = loss.item()
    return value, time.perf_counter() - start


def build(config, optimizer):
    """A fresh model and its AdamW; `optimizer` is the name of the implementation flag."""
    torch.manual_seed(0)
    model = Decoder(**config)
    flags = {optimizer: True}
    return model, torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, **flags)


def fastest_optimizer(config, ids, targets):
    """'fused' or 'foreach', whichever takes less time for an optimizer step here (fused CPU AdamW came with 2.4)."""
    best = ("foreach", float("inf"))
    for name in ("foreach", "fused"):
        try:
            model, optimizer = build(config, name)
            train_step(model, optimizer, ids, targets)
            seconds = []
            for _ in range(5):
                start = time.perf_counter()
                optimizer.step()
                seconds.append(time.perf_counter() - start)
        except (RuntimeError, TypeError):
            continue
        if min(seconds) < best[1]:
            best = (name, min(seconds))
    return best[0]


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in WORKLOADS or not sys.argv[2].isdigit() or int(sys.argv[2]) <= WARM_UP:
        sys.exit(f"usage: torchTrain.py {{{','.join(WORKLOADS)}}} STEPS   (STEPS > {WARM_UP})")
    config, steps = WORKLOADS[sys.argv[1]], int(sys.argv[2])
    torch.set_num_threads(THREADS)
    tokens = config["batch"] * config["seq"]
    i = torch.arange(tokens + 1)
    stream = (i * 7919 + (i % 13) * 31) % config["vocab"]
    shape = (config["batch"], config["seq"])
    ids, targets = stream[:-1].view(shape), stream[1:].view(shape)
    implementation = fastest_optimizer(config, ids, targets)
    model, optimizer = build(config, implementation)
    losses, times = zip(*(train_step(model, optimizer, ids, targets) for _ in range(steps)))
    all_ms = [round(1000 * t, 3) for t in times]
    print(
        json.dumps(
            {
                "step_ms": statistics.median(all_ms[WARM_UP:]),
                "all_ms": all_ms,
                "losses": [losses[0], losses[-1]],
                "version": torch.__version__,
                "threads": THREADS,
                "params": sum(p.numel() for p in model.parameters()),
                "tokens": tokens,
                "scaled": False,
                "optimizer": implementation,
            }
        )
    )


if __name__ == "__main__":
    main()
