"""How fast students train here, beside the usual loop, one student alone and the floor."""
