"""What stands in a town: houses, plants, furniture, vehicles, people; each a function from parameters to a mesh."""
