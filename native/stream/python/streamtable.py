"""StreamTable for Python: a client of tables that other processes serve over shared memory.

    import streamtable

    with streamtable.Client("@memcpy-select-files") as client:
        file = client.open("hello.txt")
        print(client.read(file, 100))
        client.close(file)

It calls libstreamtable.so.0.1, which the loader finds where `native/stream/install` puts libraries; `load` names
another one. Calls of one client from several threads wait for each other. Every call ends at the client's limit. What
the header streamtable.h says of each call holds here; where that returns an error, an exception of the same meaning is
raised.
"""

import ctypes
import errno
import os
import threading

__version__ = "0.1.0"
__all__ = ["Client", "Error", "Refused", "NotFound", "Exists", "Denied", "TimedOut", "SessionOver", "load", "message"]

# From where `Client.seek` counts: the numbers of os.SEEK_SET, os.SEEK_CUR and os.SEEK_END.
_WHENCES = (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END)

# The codes of the header, by name.
UNSUPPORTED, NOT_FOUND, EXISTS, BAD_NAME, WRONG_HANDLE, TABLE_FULL, OUT_OF_BLOCKS = 1, 2, 3, 4, 5, 6, 7
TOO_LARGE, UNALIGNED, DENIED, IO, BAD_POSITION, BUSY, NO_SPACE = 8, 9, 10, 11, 12, 13, 14
UNNAMED, ARGUMENT, MEMORY, SYSTEM, TIMEOUT, FULL, NO_BLOCKS, TOO_LONG, NOT_LENT, OBJECT, ENDED = range(4096, 4107)
ADDRESS, NOT_A_TABLE, VERSION, SERVER_FULL, REFUSED, SERVER_SHORT, OTHER_USER, LATE = range(4352, 4360)
GEOMETRY, REGION, GONE = range(4360, 4363)
BAD_MESSAGE, BAD_HEAD, NO_SUCH_REQUEST, MORE_THAN_ASKED, BAD_LENGTH, BAD_BLOCK = range(4608, 4614)
BLOCK_TWICE, NO_OBJECT, BAD_LIST, NO_CREDIT = range(4614, 4618)

WAITINGS = {"adaptive": 0, "sleep": 1, "socket": 2, "poll": 3}


class Error(OSError):
    """A call did not do what it says: `code` is the header's number, `errno` the nearest of the system's.

    The text says why, and what to do.
    """

    def __init__(self, code, cause=0):
        text = message(code)
        if cause:
            text = "{} ({})".format(text, os.strerror(cause))
        super().__init__(cause or _NUMBERS.get(code, errno.EIO), text)
        self.code = code

    def __str__(self):
        return self.strerror


class Refused(Error):
    """The table refused. The session goes on."""


class NotFound(Refused, FileNotFoundError):
    """There is no object of that name."""


class Exists(Refused, FileExistsError):
    """There is an object of that name already."""


class Denied(Refused, PermissionError):
    """The table does not allow that."""


class TimedOut(Error, TimeoutError):
    """No answer within the limit. The session goes on."""


class SessionOver(Error, ConnectionError):
    """There is no session: it could not be made, the server is gone, or it broke the protocol."""


_KINDS = {NOT_FOUND: NotFound, EXISTS: Exists, DENIED: Denied, TIMEOUT: TimedOut}
_NUMBERS = {
    NOT_FOUND: errno.ENOENT,
    EXISTS: errno.EEXIST,
    DENIED: errno.EACCES,
    BUSY: errno.EBUSY,
    NO_SPACE: errno.ENOSPC,
    MEMORY: errno.ENOMEM,
    TIMEOUT: errno.ETIMEDOUT,
    GONE: errno.ECONNRESET,
}


def _error(code, other=Error):
    if code in _KINDS:
        return _KINDS[code](code)
    if code < UNNAMED:
        return Refused(code)
    return (SessionOver if code >= ADDRESS else other)(code, ctypes.get_errno() if code == SYSTEM else 0)


class _Options(ctypes.Structure):
    _fields_ = [
        ("limit_ms", ctypes.c_uint32),
        ("waiting", ctypes.c_int),
        ("max_data_bytes", ctypes.c_uint64),
    ]


_POINTER, _SIZE, _HANDLE = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
_TO_SIZE, _TO_HANDLE, _TO_POINTER = map(ctypes.POINTER, (_SIZE, _HANDLE, _POINTER))

# What each call takes. All return a code, unless they stand in `_RESULTS`.
_CALLS = {
    "connect": (ctypes.c_char_p, ctypes.POINTER(_Options), _TO_POINTER),
    "connect_over": (ctypes.c_int, ctypes.POINTER(_Options), _TO_POINTER),
    "disconnect": (_POINTER,),
    "set_limit": (_POINTER, ctypes.c_uint32),
    "open": (_POINTER, ctypes.c_char_p, _TO_HANDLE),
    "create": (_POINTER, ctypes.c_char_p, _TO_HANDLE),
    "create_or_replace": (_POINTER, ctypes.c_char_p, _TO_HANDLE),
    "destroy": (_POINTER, ctypes.c_char_p),
    "close": (_POINTER, _HANDLE),
    "read": (_POINTER, _HANDLE, _POINTER, _SIZE, _TO_SIZE),
    "write": (_POINTER, _HANDLE, _POINTER, _SIZE, _TO_SIZE),
    "write_meta": (_POINTER, _HANDLE, _POINTER, _SIZE, _TO_SIZE),
    "publish": (_POINTER, _HANDLE, ctypes.c_uint),
    "discard": (_POINTER, _HANDLE),
    "seek": (_POINTER, _HANDLE, ctypes.c_int64, ctypes.c_int, ctypes.POINTER(ctypes.c_uint64)),
    "max_read": (_POINTER,),
    "max_write": (_POINTER,),
    "version": (),
    "message": (ctypes.c_int,),
}
_RESULTS = {
    "disconnect": None,
    "set_limit": None,
    "max_read": _SIZE,
    "max_write": _SIZE,
    "version": ctypes.c_char_p,
    "message": ctypes.c_char_p,
}

_library = None


def load(path="libstreamtable.so.0.1"):
    """Uses the library of that name or path from here on. Without it the first call looks where the loader looks."""
    global _library
    try:
        library = ctypes.CDLL(path, use_errno=True)
        for name, takes in _CALLS.items():
            call = getattr(library, "streamtable_" + name)
            call.argtypes, call.restype = takes, _RESULTS.get(name, ctypes.c_int)
    except (OSError, AttributeError) as cause:
        raise ImportError(
            "{}: nothing was loaded; run native/stream/install and ldconfig, or name the library with "
            "streamtable.load".format(cause)
        ) from cause
    _library = library


def _call(name):
    if _library is None:
        load()
    return getattr(_library, "streamtable_" + name)


def message(code):
    """What a code means: cause, effect, fix."""
    return _call("message")(code).decode()


def _bytes_of(name):
    name = os.fsencode(name)
    if b"\0" in name:
        raise Refused(BAD_NAME)
    return name


def _address_of(data):
    """The bytes of an object that has some, as what keeps them alive, their address, and how many there are."""
    if isinstance(data, bytes):
        return data, ctypes.cast(ctypes.c_char_p(data), _POINTER).value, len(data)
    view = memoryview(data).cast("B")
    if view.readonly:
        return _address_of(bytes(view))
    if len(view) == 0:
        return view, None, 0
    held = (ctypes.c_char * len(view)).from_buffer(view)
    return held, ctypes.addressof(held), len(view)


class Client:
    """A connection to the table at an address: `@name`, the path of a socket with a slash, or a connected socket.

    A socket object, or a descriptor as a number, is the client's from here on. `limit` is in seconds. `waiting` is one
    of "adaptive", "sleep", "socket" and "poll".
    """

    def __init__(self, address, limit=5.0, waiting="adaptive", max_data_bytes=0):
        self._client = None
        self._lock = threading.Lock()
        if waiting not in WAITINGS:
            raise ValueError("{!r}: nothing was done; wait by one of {}".format(waiting, ", ".join(WAITINGS)))
        options = _Options(_milliseconds(limit), WAITINGS[waiting], max_data_bytes)
        made = _POINTER()
        if hasattr(address, "detach"):
            address = address.detach()
        if isinstance(address, int):
            code = _call("connect_over")(address, ctypes.byref(options), ctypes.byref(made))
        else:
            code = _call("connect")(_bytes_of(address), ctypes.byref(options), ctypes.byref(made))
        if code:
            raise _error(code, SessionOver)
        self._client = made

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disconnect()

    def __del__(self):
        # At the end of the interpreter what this needs may be gone.
        if getattr(self, "_client", None) is not None and _library is not None:
            self.disconnect()

    def disconnect(self):
        """Ends the session. Any other call raises SessionOver from then on; a second disconnect does nothing."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None:
                _call("disconnect")(client)

    def _do(self, name, *arguments):
        with self._lock:
            if self._client is None:
                raise SessionOver(GONE)
            code = _call(name)(self._client, *arguments)
        if code:
            raise _error(code)

    def _number(self, name):
        with self._lock:
            if self._client is None:
                raise SessionOver(GONE)
            return _call(name)(self._client)

    def _named(self, call, name):
        handle = _HANDLE()
        self._do(call, _bytes_of(name), ctypes.byref(handle))
        return handle.value

    def set_limit(self, seconds):
        """Changes the limit of every later call."""
        with self._lock:
            if self._client is not None:
                _call("set_limit")(self._client, _milliseconds(seconds))

    def open(self, name):
        """Opens an object; its handle."""
        return self._named("open", name)

    def create(self, name):
        """Makes an object, and opens it; its handle."""
        return self._named("create", name)

    def create_or_replace(self, name):
        """Makes an object, also where there is one of that name, and opens it; its handle."""
        return self._named("create_or_replace", name)

    def destroy(self, name):
        """Removes an object."""
        self._do("destroy", _bytes_of(name))

    def close(self, handle):
        """Ends a handle. There is no answer: a wrong handle is no error."""
        self._do("close", handle)

    def read_into(self, handle, buffer):
        """Copies bytes into a writable buffer, in one transfer, and moves the handle; how many, 0 at the end.

        As with io.RawIOBase.readinto there may be fewer than fit before the end.
        """
        view = memoryview(buffer)
        if view.readonly:
            raise TypeError("a buffer that can be written is needed: nothing was read; use a bytearray")
        held, address, size = _address_of(view)
        got = _SIZE()
        self._do("read", handle, address, size, ctypes.byref(got))
        del held
        return got.value

    def read(self, handle, size=-1):
        """Bytes from where the handle is, as many transfers as it takes: `size`, or fewer at the end; all with -1."""
        parts, left = [], size
        most = self._number("max_read")
        while left != 0:
            part = bytearray(min(most, 1 << 20) if left < 0 else min(most, left))
            got = self.read_into(handle, part)
            if got == 0:
                break
            parts.append(memoryview(part)[:got])
            left = left - got if left > 0 else left
        return b"".join(parts)

    def write(self, handle, data):
        """Writes all of a bytes-like object to where the handle is, as many transfers as it takes; how many bytes."""
        held, address, size = _address_of(data)
        done, taken = 0, _SIZE()
        while done < size or size == 0:
            self._do("write", handle, (address or 0) + done or None, size - done, ctypes.byref(taken))
            done += taken.value
            if taken.value == 0:
                break
        del held
        return done

    def write_meta(self, handle, data):
        """Sends what is known about an object, or is to be done with it as a whole; how many bytes the table took."""
        held, address, size = _address_of(data)
        taken = _SIZE()
        self._do("write_meta", handle, address, size, ctypes.byref(taken))
        del held
        return taken.value

    def publish(self, handle, replace=False, sync=False):
        """Gives a file that was created at a streamtable-server its name."""
        self._do("publish", handle, (1 if replace else 0) | (2 if sync else 0))

    def discard(self, handle):
        """Drops a file that was created at a streamtable-server and has no name yet, and ends the handle."""
        self._do("discard", handle)

    def seek(self, handle, distance, whence=os.SEEK_SET):
        """Moves a handle; where it is then."""
        position = ctypes.c_uint64()
        self._do("seek", handle, distance, _WHENCES.index(whence), ctypes.byref(position))
        return position.value


def _milliseconds(seconds):
    if not 0 < seconds < 2**32 / 1000:
        raise ValueError("a limit of {} seconds: nothing was done; it is above 0 and below 49 days".format(seconds))
    return max(1, int(seconds * 1000))
