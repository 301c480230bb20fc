"""The gating: from β to the scales and shifts of layers, and back to plain layers."""
