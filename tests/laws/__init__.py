"""What proves a rewrite right: random graphs to try it on, and the laws it must obey."""
