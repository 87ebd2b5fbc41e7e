"""What decides the design of the training engine, measured on a GPU: ``python -m repro.bench.gpu``.

Each experiment runs in a process of its own and leaves a line of JSON; ``rules`` turns the lines
into decisions. Importing this package imports nothing of torch.
"""
