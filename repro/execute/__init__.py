"""Ways to run planned waves of cohorts; each is one function with the signature of ``inline``."""
