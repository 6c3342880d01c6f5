"""Where things stand: the plan of streets and blocks, the ground, and what is placed along them."""
