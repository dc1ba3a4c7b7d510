"""A pipeline over 1 GiB: arrays are joined, copied back in another order, and thinned out."""

import numpy

ELEMENTS = 1 << 24  # of 8 bytes: 128 MiB
parts = [numpy.arange(at, at + ELEMENTS, dtype=numpy.uint64) for at in range(4)]
whole = numpy.empty(4 * ELEMENTS, dtype=numpy.uint64)
for turn in range(4):
    numpy.concatenate(parts, out=whole)
    for at, part in enumerate(parts):
        numpy.copyto(part, whole[(at + 1) % 4 * ELEMENTS :][:ELEMENTS])
rows = whole.reshape(-1, 8192)
rows[::2] = rows[1::2]
print(int(whole[::4097].sum()), [int(part[7]) for part in parts])
