"""Scales, shifts and activations that become part of a convolution."""
