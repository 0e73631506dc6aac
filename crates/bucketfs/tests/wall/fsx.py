"""One file, random operations, compared with a model after each read: fsx.py FILE SEED OPERATIONS map|plain

The same seed is the same run. Fails with the operations that led there.
"""
import ctypes, mmap, os, random, sys

path, seed, count, mapped = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "map"
LIMIT, PAGE, PUNCH = 3 << 20, mmap.PAGESIZE, 3
chance, model, log = random.Random(seed), bytearray(), []
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)


def place(length):
    """A range of a file of so many bytes, often a short one, sometimes at a page's edge."""
    start = chance.randrange(length + 1)
    if chance.random() < 0.3:
        start -= start % PAGE
    return start, min(chance.choice([1, 100, PAGE, 70_000, 1 << 20]), LIMIT - start)


def compare(what, start, got, expected):
    if got != expected:
        at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))
        sys.exit(f"{what} differs at {start + at}: {len(got)} bytes for {len(expected)}, after:\n" + "\n".join(log[-30:]))


def extend(size):
    if size > len(model):
        model.extend(bytes(size - len(model)))


def read():
    start, length = place(len(model))
    compare("read", start, os.pread(descriptor, length, start), bytes(model[start:start + length]))


def write():
    start, length = place(min(len(model) + 5000, LIMIT - 1))
    data = chance.randbytes(length)
    assert os.pwrite(descriptor, data, start) == length
    extend(start)
    model[start:start + length] = data


def truncate():
    size = chance.randrange(LIMIT if chance.random() < 0.2 else len(model) + 1)
    if chance.random() < 0.5:
        os.ftruncate(descriptor, size)
    else:
        os.truncate(path, size)
    extend(size)
    del model[size:]


def punch():
    start, length = place(len(model))
    if length and libc.fallocate(descriptor, PUNCH, start, length):
        sys.exit(f"fallocate: {os.strerror(ctypes.get_errno())}")
    end = min(start + length, len(model))
    model[start:end] = bytes(max(0, end - start))


def copy():
    start, length = place(len(model))
    length = min(length, len(model) - start)
    target = chance.randrange(LIMIT - length)
    if length == 0 or abs(target - start) < length:
        return
    done = 0
    while done < length:
        done += os.copy_file_range(descriptor, descriptor, length - done, start + done, target + done)
    data = bytes(model[start:start + length])
    extend(target)
    model[target:target + length] = data


def close_and_open():
    global descriptor
    os.close(descriptor)
    assert os.stat(path).st_size == len(model), (os.stat(path).st_size, len(model))
    descriptor = os.open(path, os.O_RDWR)
    compare("the file", 0, os.pread(descriptor, LIMIT, 0), bytes(model))


def map_read():
    if model:
        with mmap.mmap(descriptor, len(model), prot=mmap.PROT_READ) as pages:
            start, length = place(len(model))
            compare("mapping", start, pages[start:start + length], bytes(model[start:start + length]))


def map_write():
    if model:
        with mmap.mmap(descriptor, len(model)) as pages:
            start, length = place(len(model))
            data = chance.randbytes(min(length, len(model) - start))
            pages[start:start + len(data)] = data
            pages.flush()
        model[start:start + len(data)] = data


operations = [read, read, write, write, write, truncate, punch, copy, close_and_open, lambda: os.fsync(descriptor)]
operations += [map_read, map_write] if mapped else []
for _ in range(count):
    operation = chance.choice(operations)
    log.append(getattr(operation, "__name__", "fsync") + f" at {len(model)} bytes")
    operation()
close_and_open()
