"""What a run did and what a model holds, for people (tables) and for programs (JSON)."""
