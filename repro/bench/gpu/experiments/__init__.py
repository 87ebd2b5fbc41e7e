"""The experiments; each module has ``measure(lab)``, which writes its rows."""
