"""mrvae_lstm: an LSTM that reads an image row by row, and one that writes it row by row.

    x (B, C, H, W) ─rows─► (B, H, C·W) ─LSTM─► states (B, H, S) ─last─► (B, S) ─head─► mean, log σ² (B, Z)
    z (B, Z) ─at every row─► (B, H, Z) ─LSTM─► states (B, H, S) ─head─► rows (B, H, C·W) ─► logits or mean (B, C, H, W)

A step of an LSTM has one layer, of the row r_t beside the last state, and its pre-activations are what β gates:

    [r_t, s_{t-1}] (B, I+S) ─gated Linear─► i, f, o, u, each (B, S)
    c_t = σ(f)·c_{t-1} + σ(i)·tanh(u),  s_t = σ(o)·tanh(c_t)

Letters: B batch, C, H, W image, Z latents, S size of the state, I inputs of an LSTM.
Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997.
"""

import torch
from torch import Tensor, nn

from mrvae_zoo.plugins import Architecture, Gating, Side, call


class GatedLSTM(nn.Module):
    """Rows (B, H, I) and the features of β -> the state after each of them, (B, H, S)."""

    def __init__(self, inputs: int, size: int, gating: Gating, *, side: Side) -> None:
        super().__init__()
        self.size = size
        self.step = gating.linear(inputs + size, 4 * size, side=side)
        with torch.no_grad():  # forget little at first, or the early rows are gone before anything is learned
            self.step.bias[size : 2 * size].fill_(1.0)

    def forward(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """The states."""
        state = cell = rows.new_zeros(rows.shape[0], self.size)
        states = []
        for row in rows.unbind(1):
            i, f, o, u = call(self.step, torch.cat([row, state], dim=-1), features).chunk(4, dim=-1)
            cell = f.sigmoid() * cell + i.sigmoid() * u.tanh()
            state = o.sigmoid() * cell.tanh()
            states.append(state)
        return torch.stack(states, dim=1)


class LSTMEncoder(nn.Module):
    """x (B, C, H, W) and the features of β -> mean, log σ², each (B, Z)."""

    def __init__(self, lstm: GatedLSTM, head: nn.Linear) -> None:
        super().__init__()
        self.lstm = lstm
        self.head = head

    def forward(self, x: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior."""
        rows = x.transpose(1, 2).flatten(2)  # (B, H, C·W)
        last = self.lstm(rows, features)[:, -1]
        mean, log_var = call(self.head, last, features).chunk(2, dim=-1)
        return mean, log_var


class LSTMDecoder(nn.Module):
    """z (B, Z) and the features of β -> logits or mean (B, C, H, W)."""

    def __init__(self, lstm: GatedLSTM, head: nn.Linear, output_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.lstm = lstm
        self.head = head
        self.output_shape = output_shape

    def forward(self, z: Tensor, features: Tensor | None) -> Tensor:
        """What the likelihood takes."""
        channels, height, width = self.output_shape
        states = self.lstm(z.unsqueeze(1).expand(-1, height, -1), features)
        rows = call(self.head, states, features)  # (B, H, C·W)
        return rows.unflatten(-1, (channels, width)).transpose(1, 2)


def build(
    input_shape: tuple[int, int, int], latent_dim: int, gating: Gating, *, state_size: int = 256
) -> tuple[LSTMEncoder, LSTMDecoder]:
    """The encoder and the decoder, whose LSTMs have states of `state_size`.

    Raises:
        ValueError: a state_size below 1.
    """
    if state_size < 1:
        raise ValueError(f"state_size={state_size} should be at least 1")
    channels, _, width = input_shape
    encoder = LSTMEncoder(
        GatedLSTM(channels * width, state_size, gating, side="encoder"),
        gating.latent_writer(state_size, latent_dim),
    )
    decoder = LSTMDecoder(
        GatedLSTM(latent_dim, state_size, gating, side="decoder"),
        gating.linear(state_size, channels * width, side="decoder", head=True),
        input_shape,
    )
    return encoder, decoder


ARCHITECTURE = Architecture(name="mrvae_lstm", build=build)
