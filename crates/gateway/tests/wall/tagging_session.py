"""Tags and conditional deletions by boto3; fails by an exception."""

import boto3
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


def tags(key):
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


def put_tags(key, wanted):
    tag_set = [{"Key": name, "Value": value} for name, value in wanted.items()]
    s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": tag_set})


# Set with the object, read, replaced, taken away.
s3.put_object(Bucket=bucket, Key="k", Body=b"text", Tagging="a=1&b=x%20%26", Metadata={"m": "1"})
assert tags("k") == {"a": "1", "b": "x &"}
head = s3.head_object(Bucket=bucket, Key="k")
assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
put_tags("k", {"c": "<&>", "d": ""})
assert tags("k") == {"c": "<&>", "d": ""}
after = s3.head_object(Bucket=bucket, Key="k")
assert after["ETag"] == head["ETag"] and after["LastModified"] == head["LastModified"] and after["Metadata"] == {"m": "1"}
assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"
refused("NoSuchKey", s3.get_object_tagging, Bucket=bucket, Key="missing")
refused("NoSuchKey", s3.delete_object_tagging, Bucket=bucket, Key="missing")
many = {"TagSet": [{"Key": str(number), "Value": ""} for number in range(11)]}
refused("InvalidTag", s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=many)
twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
refused("InvalidTag", s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=twice)
refused("InvalidTag", s3.put_object, Bucket=bucket, Key="k", Body=b"other", Tagging="a=1&a=2")
assert tags("k") == {"c": "<&>", "d": ""}

# Copies: tags and metadata come from the source or the request, each by its directive.
source = {"Bucket": bucket, "Key": "k"}
for metadata, tagging in [("COPY", "COPY"), ("COPY", "REPLACE"), ("REPLACE", "COPY"), ("REPLACE", "REPLACE")]:
    key = f"{metadata} {tagging}"
    s3.copy_object(Bucket=bucket, Key=key, CopySource=source, MetadataDirective=metadata, Metadata={"m": "2"}, TaggingDirective=tagging, Tagging="new=1")
    assert tags(key) == ({"new": "1"} if tagging == "REPLACE" else {"c": "<&>", "d": ""}), key
    assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"m": "2" if metadata == "REPLACE" else "1"}, key
refused("InvalidRequest", s3.copy_object, Bucket=bucket, Key="k", CopySource=source)
upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", Tagging="p=1")["UploadId"]
part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
assert tags("parts") == {"p": "1"}
s3.delete_object_tagging(Bucket=bucket, Key="k")
assert tags("k") == {} and "TagCount" not in s3.get_object(Bucket=bucket, Key="k")

# Deletions of one version.
etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
refused("PreconditionFailed", s3.delete_object, Bucket=bucket, Key="k", IfMatch='"other"')
assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"
s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
refused("404", s3.head_object, Bucket=bucket, Key="k")
s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
etag = s3.put_object(Bucket=bucket, Key="one", Body=b"1")["ETag"]
s3.put_object(Bucket=bucket, Key="two", Body=b"2")
objects = [{"Key": "two", "ETag": etag}, {"Key": "one", "ETag": etag}, {"Key": "parts"}]
outcome = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
assert [entry["Key"] for entry in outcome["Deleted"]] == ["one", "parts"], outcome
assert [(entry["Key"], entry["Code"]) for entry in outcome["Errors"]] == [("two", "PreconditionFailed")]

# Deletions of what was looked at, also by its size and time.
head = s3.put_object(Bucket=bucket, Key="sized", Body=b"12345") and s3.head_object(Bucket=bucket, Key="sized")
refused("PreconditionFailed", s3.delete_object, Bucket=bucket, Key="sized", IfMatchSize=4)
refused("PreconditionFailed", s3.delete_object, Bucket=bucket, Key="sized", IfMatchLastModifiedTime="2020-01-01T00:00:00Z")
outcome = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "sized", "Size": 4}]})
assert outcome["Errors"][0]["Code"] == "PreconditionFailed", outcome
s3.delete_object(Bucket=bucket, Key="sized", IfMatchSize=5, IfMatchLastModifiedTime=head["LastModified"])
refused("404", s3.head_object, Bucket=bucket, Key="sized")
