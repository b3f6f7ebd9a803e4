"""One network, one picture, one score: the torch half of the engine. It knows no generations."""
