"""What programs do with boto3, in its default settings; fails by an exception."""

import hashlib
import io
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3")
bucket = "bucket"


def refused(code, call, **arguments):
    """Expects an error of that code."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
    else:
        raise AssertionError(f"{call} was not refused")


# Objects, metadata, ranges, conditions.
s3.put_object(Bucket=bucket, Key="a b/ü", Body=b"text", Metadata={"mode": "33188"}, ContentType="text/plain")
found = s3.get_object(Bucket=bucket, Key="a b/ü")
assert found["Body"].read() == b"text"
assert found["Metadata"] == {"mode": "33188"} and found["ContentType"] == "text/plain"
assert s3.get_object(Bucket=bucket, Key="a b/ü", Range="bytes=1-2")["Body"].read() == b"ex"
refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="a b/ü", Body=b"", IfNoneMatch="*")
refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="missing")
refused("404", s3.head_object, Bucket=bucket, Key="missing")
refused("NoSuchBucket", s3.list_objects_v2, Bucket="missing")
for algorithm in ["CRC32", "SHA1", "SHA256"]:
    s3.put_object(Bucket=bucket, Key="summed", Body=b"text", ChecksumAlgorithm=algorithm)
s3.put_object(Bucket=bucket, Key="empty", Body=b"")
# A stream makes the SDK send chunks with a trailing checksum.
s3.put_object(Bucket=bucket, Key="streamed", Body=io.BytesIO(b"s" * 3_000_000))
assert s3.head_object(Bucket=bucket, Key="streamed")["ContentLength"] == 3_000_000

# Multipart up and down, by the transfer manager.
content = bytes(range(256)) * 80_000
config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
s3.upload_fileobj(io.BytesIO(content), bucket, "large", Config=config)
back = io.BytesIO()
s3.download_fileobj(bucket, "large", back, Config=config)
assert hashlib.sha256(back.getvalue()).digest() == hashlib.sha256(content).digest()
s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "large copy", Config=config)
assert s3.head_object(Bucket=bucket, Key="large copy")["ContentLength"] == len(content)

# Listings, both versions, in pages.
for number in range(25):
    s3.put_object(Bucket=bucket, Key=f"many/{number:02}", Body=b"")
for operation in ["list_objects", "list_objects_v2"]:
    pages = s3.get_paginator(operation).paginate(Bucket=bucket, Prefix="many/", PaginationConfig={"PageSize": 10})
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == [f"many/{n:02}" for n in range(25)]
grouped = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
assert [entry["Prefix"] for entry in grouped["CommonPrefixes"]] == ["a b/", "many/"]

# An upload that is given up.
upload = s3.create_multipart_upload(Bucket=bucket, Key="given up")["UploadId"]
s3.upload_part(Bucket=bucket, Key="given up", UploadId=upload, PartNumber=3, Body=b"part")
assert [part["PartNumber"] for part in s3.list_parts(Bucket=bucket, Key="given up", UploadId=upload)["Parts"]] == [3]
assert [entry["UploadId"] for entry in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
s3.abort_multipart_upload(Bucket=bucket, Key="given up", UploadId=upload)
assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)

# A presigned link.
s3.put_object(Bucket=bucket, Key="kept", Body=b"linked")
# boto3 presigns with version 2 by default, which AWS itself no longer takes for new buckets.
signing = boto3.client("s3", config=Config(signature_version="s3v4"))
link = signing.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "kept"})
assert urllib.request.urlopen(link).read() == b"linked"

# Everything but one object goes.
keys = [entry["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket) for entry in page["Contents"]]
deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys if key != "kept"]})
assert len(deleted["Deleted"]) == len(keys) - 1 and "Errors" not in deleted

# Lifecycle rules.
rules = [
    {"ID": "tidy", "Filter": {"Prefix": "tmp/"}, "Status": "Enabled", "Expiration": {"Days": 3},
     "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    {"ID": "off", "Filter": {"Prefix": ""}, "Status": "Disabled", "Expiration": {"Days": 9}},
]
refused("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=bucket)
s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
moving = [{"ID": "cold", "Filter": {"Prefix": ""}, "Status": "Enabled", "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}]
refused("MalformedXML", s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration={"Rules": moving})
assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
s3.delete_bucket_lifecycle(Bucket=bucket)
refused("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=bucket)
