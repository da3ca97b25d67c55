"""The headline suite: whole networks at real sizes, timed before and after."""
