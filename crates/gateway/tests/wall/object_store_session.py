"""The Rust crate object_store, by way of its Python package obstore; fails by an exception."""

import os
from datetime import timedelta
from urllib.request import urlopen

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import S3Store

endpoint = os.environ["AWS_ENDPOINT_URL"]
store = S3Store("bucket", endpoint=endpoint, region="us-east-1", client_options={"allow_http": True})


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except error:
        return
    raise AssertionError(f"{call} was not refused with {error}")


# The modes of a put: overwrite, create, update of a version.
first = obstore.put(store, "a/ü 1", b"first", mode="create")
refused(AlreadyExistsError, obstore.put, store, "a/ü 1", b"never", mode="create")
second = obstore.put(store, "a/ü 1", b"second", mode={"e_tag": first["e_tag"]}, use_multipart=False)
refused(PreconditionError, obstore.put, store, "a/ü 1", b"never", mode={"e_tag": first["e_tag"]}, use_multipart=False)
assert bytes(obstore.get(store, "a/ü 1").bytes()) == b"second"
assert obstore.head(store, "a/ü 1")["e_tag"] == second["e_tag"]
refused(PreconditionError, obstore.get, store, "a/ü 1", options={"if_match": first["e_tag"]})

# Attributes and tags.
obstore.put(store, "a/described", b"x", attributes={"Content-Type": "text/x", "owner": "me"}, tags={"k": "v w"})
attributes = obstore.get(store, "a/described").attributes
assert attributes["Content-Type"] == "text/x" and attributes["owner"] == "me", attributes

# Parts, ranges.
content = bytes(range(256)) * 60_000
obstore.put(store, "b/large", content, use_multipart=True, chunk_size=5 << 20)
assert bytes(obstore.get(store, "b/large").bytes()) == content
with obstore.open_writer(store, "b/written", buffer_size=5 << 20) as writer:
    writer.write(content)
assert obstore.head(store, "b/written")["size"] == len(content)
pieces = obstore.get_ranges(store, "b/large", starts=[0, 6_000_000], ends=[10, 6_000_010])
assert [bytes(piece) for piece in pieces] == [content[:10], content[6_000_000:6_000_010]]

# Listings, with a delimiter and an offset.
found = obstore.list_with_delimiter(store)
assert found["common_prefixes"] == ["a", "b"] and len(found["objects"]) == 0, found
names = [entry["path"] for page in obstore.list(store) for entry in page]
assert names == ["a/described", "a/ü 1", "b/large", "b/written"], names
later = [entry["path"] for page in obstore.list(store, offset="a/ü 1") for entry in page]
assert later == ["b/large", "b/written"], later

# Copies, links, deletions of many.
obstore.copy(store, "b/large", "b/copied")
obstore.rename(store, "b/copied", "b/renamed")
refused(FileNotFoundError, obstore.head, store, "b/copied")
assert urlopen(obstore.sign(store, "GET", "a/ü 1", timedelta(minutes=1))).read() == b"second"
obstore.delete(store, [entry["path"] for page in obstore.list(store) for entry in page])
assert [entry for page in obstore.list(store) for entry in page] == []
