"""Does what it is told, line by line, over streamtable.py, and says what came of it: see operations.rs.

operations.py LIBRARY ADDRESS WAITING
"""

import os
import sys
import zlib

import streamtable


def pattern(size, seed):
    period = bytes((at * 167 + seed * 31 + (at >> 8)) & 255 for at in range(min(size, 65536)))
    return (period * (size // 65536 + 1))[:size]


def read_into_all(client, handle, size):
    """As Client.read, into one buffer."""
    buffer, done = bytearray(size), 0
    while done < size:
        got = client.read_into(handle, memoryview(buffer)[done:])
        if got == 0:
            break
        done += got
    return memoryview(buffer)[:done]


def summed(data):
    return "{} {}".format(len(data), zlib.adler32(data))


def go_round(client, handle, count):
    """Writes and reads some bytes at one place after the other, so that rings and blocks come round."""
    sum_ = 1
    for place in range(count):
        client.seek(handle, place)
        client.seek(handle, -client.write(handle, pattern(60, place)), 1)
        sum_ = zlib.adler32(client.read(handle, 60), sum_)
    return "{} {}".format(count, sum_)


class Operations:
    def __init__(self, address, options):
        self.address, self.options, self.handles = address, options, {}
        self.client = streamtable.Client(address, **options)

    def obey(self, verb, words):
        client = self.client
        if verb == "limit":
            return client.set_limit(int(words) / 1000)
        if verb == "held":
            with open("/proc/self/maps") as maps:
                return "{} {}".format(len(os.listdir("/proc/self/fd")), len(maps.readlines()))
        if verb == "connect":
            for _ in range(int(words)):
                with streamtable.Client(self.address, **self.options) as another:
                    try:
                        another.open("no such object")
                    except streamtable.NotFound:
                        pass
            return None
        if verb == "destroy":
            return client.destroy(words)
        letter, _, words = words.partition(" ")
        if verb in ("open", "create", "replace"):
            call = {"open": client.open, "create": client.create, "replace": client.create_or_replace}[verb]
            self.handles[letter] = call(words)
            return None
        handle = self.handles.get(letter, 0)
        if verb == "close":
            return client.close(handle)
        if verb == "discard":
            return client.discard(handle)
        if verb == "meta":
            client.write_meta(handle, words.encode())
            return None
        if verb == "publish":
            return client.publish(handle, replace=bool(int(words) & 1), sync=bool(int(words) & 2))
        if verb == "read":
            return summed(client.read(handle, int(words)))
        if verb == "view":
            return summed(read_into_all(client, handle, int(words)))
        if verb == "rounds":
            return go_round(client, handle, int(words))
        if verb == "seek":
            origin, distance = words.split()
            return client.seek(handle, int(distance), {"start": 0, "current": 1, "end": 2}[origin])
        size, seed = map(int, words.split())
        data = pattern(size, seed)
        # A bytes object, and a buffer of somebody else's.
        done = client.write(handle, data if verb == "write" else bytearray(data))
        assert done == size, (done, size)
        return None


def main(library, address, waiting):
    streamtable.load(library)
    ways = {number: name for name, number in streamtable.WAITINGS.items()}
    operations = Operations(address, {"limit": 30.0, "waiting": ways[int(waiting)]})
    for line in sys.stdin:
        verb, _, words = line.rstrip("\n").partition(" ")
        try:
            result = operations.obey(verb, words)
            print("ok" if result is None else result, flush=True)
        except streamtable.Error as error:
            assert str(error) and isinstance(error, OSError)
            print("error", error.code, flush=True)
    operations.client.disconnect()


main(*sys.argv[1:])
