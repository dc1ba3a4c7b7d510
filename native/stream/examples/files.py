"""Gets files from a streamtable-server, and puts them there.

python3 files.py get NAME FILE         FILE must not exist yet
python3 files.py put FILE NAME         there as a whole, or not at all
python3 files.py @other-server get …   at another address than @memcpy-select-files
"""

import os
import sys

import streamtable

CHUNK = 1 << 20


def get(client, name, path):
    """Copies an object into a local file, which is removed if that fails."""
    remote = client.open(name)
    buffer = memoryview(bytearray(CHUNK))
    with open(path, "xb") as file:
        try:
            while got := client.read_into(remote, buffer):
                file.write(buffer[:got])
        except BaseException:
            os.remove(path)
            raise


def put(client, path, name):
    """Copies a local file into an object. Until it is published, whatever goes wrong leaves nothing."""
    with open(path, "rb") as file:
        remote = client.create(name)
        while chunk := file.read(CHUNK):
            client.write(remote, chunk)
    client.publish(remote)


def main(words):
    address = words.pop(0) if len(words) == 4 else "@memcpy-select-files"
    verbs = {"get": get, "put": put}
    if len(words) != 3 or words[0] not in verbs:
        sys.exit("files.py [ADDRESS] get NAME FILE | put FILE NAME")
    try:
        with streamtable.Client(address) as client:
            verbs[words[0]](client, *words[1:])
    except OSError as error:
        sys.exit(str(error))


main(sys.argv[1:])
