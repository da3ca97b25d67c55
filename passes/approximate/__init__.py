"""Close to the same function: never applied by default, each with the change that it makes."""
