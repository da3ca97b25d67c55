"""TextCNN: 1-D convolutions of several widths over word vectors, the largest response of each over time."""

import torch
from torch import nn

INPUT = (2, 24, 37)  # sentences, size of a word vector, words
FINDS = ("fuse-activation-into-conv",)


class TextCnn(nn.Module):
    """Filters that see 3, 4 and 5 words; one score for each class."""

    def __init__(self, embedding: int, filters: int, classes: int) -> None:
        super().__init__()
        self.widths = nn.ModuleList(nn.Conv1d(embedding, filters, width) for width in (3, 4, 5))
        self.classify = nn.Linear(3 * filters, classes)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Score (N, embedding, words) as (N, classes)."""
        responses = [torch.relu(conv(words)).amax(dim=2) for conv in self.widths]
        scores: torch.Tensor = self.classify(torch.cat(responses, dim=1))
        return scores


def build() -> nn.Module:
    """The module to optimize."""
    return TextCnn(24, 10, 4)
