"""What programs do with the minio package; fails by an exception."""

import io
import os
from datetime import timedelta
from urllib.request import urlopen

from minio import Minio
from minio.commonconfig import ComposeSource, CopySource
from minio.deleteobjects import DeleteObject

client = Minio(
    endpoint=os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"),
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    secure=False,
)
bucket = "bucket"
assert client.bucket_exists(bucket_name=bucket) and not client.bucket_exists(bucket_name="missing")


def put(name, content, **arguments):
    client.put_object(bucket_name=bucket, object_name=name, data=io.BytesIO(content), length=len(content), **arguments)


def get(name, **arguments):
    response = client.get_object(bucket_name=bucket, object_name=name, **arguments)
    try:
        return response.read()
    finally:
        response.close()
        response.release_conn()


put("a b/ü", b"text", metadata={"mode": "33188"}, content_type="text/plain")
assert get("a b/ü") == b"text" and get("a b/ü", offset=1, length=2) == b"ex"
found = client.stat_object(bucket_name=bucket, object_name="a b/ü")
assert found.size == 4 and found.metadata["x-amz-meta-mode"] == "33188"

large = bytes(range(256)) * 50_000
put("large", large, part_size=5 << 20)
assert get("large") == large
client.copy_object(bucket_name=bucket, object_name="copy", source=CopySource(bucket_name=bucket, object_name="large"))
sources = [ComposeSource(bucket_name=bucket, object_name=name) for name in ["large", "copy"]]
client.compose_object(bucket_name=bucket, object_name="composed", sources=sources)
assert client.stat_object(bucket_name=bucket, object_name="composed").size == 2 * len(large)

names = [entry.object_name for entry in client.list_objects(bucket_name=bucket, recursive=True)]
assert names == ["a b/ü", "composed", "copy", "large"], names
assert "a b/" in [entry.object_name for entry in client.list_objects(bucket_name=bucket)]
described = list(client.list_objects(bucket_name=bucket, prefix="a b/", include_user_meta=True))
assert described[0].metadata == {"content-type": "text/plain", "X-Amz-Meta-mode": "33188"}, described[0].metadata

put("kept", b"linked")
link = client.presigned_get_object(bucket_name=bucket, object_name="kept", expires=timedelta(minutes=1))
assert urlopen(link).read() == b"linked"
errors = client.remove_objects(bucket_name=bucket, delete_object_list=[DeleteObject(name) for name in names])
assert list(errors) == []
