"""The same function with fewer multiplications, where the target's costs say that it pays."""
