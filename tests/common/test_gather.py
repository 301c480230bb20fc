"""What several processes gather, with the other process made up: quick, as those that start processes are not."""

import torch

from mrvae_zoo.common.processes import gather


def test_what_flows_back_is_what_all_processes_ask_for(monkeypatch):
    own, other = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])

    def all_gather(parts, tensor):
        parts[0].copy_(other)
        parts[1].copy_(tensor)

    distributed = "mrvae_zoo.common.processes.distributed"
    monkeypatch.setattr(f"{distributed}.is_initialized", lambda: True)
    monkeypatch.setattr(f"{distributed}.get_world_size", lambda: 2)
    monkeypatch.setattr(f"{distributed}.get_rank", lambda: 1)
    monkeypatch.setattr(f"{distributed}.all_gather", all_gather)
    asked = torch.tensor([10.0, 20.0, 30.0, 40.0])  # the gradient of the other process
    monkeypatch.setattr(f"{distributed}.all_reduce", lambda gradient: gradient.add_(asked))
    gathered = gather(own)
    assert gathered.tolist() == [3.0, 4.0, 1.0, 2.0]
    (gathered * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert own.grad.tolist() == [33.0, 44.0]
