"""boto3 against the endpoint of a sandbox: parts by hand, copies, listings and deletions inside; 403 outside."""

import sys

import boto3
from botocore.exceptions import ClientError

BUCKET, PREFIX = sys.argv[1], sys.argv[2]
s3 = boto3.client("s3")
PART = b"p" * (5 << 20)


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
        return
    raise AssertionError(f"{call} {arguments} was let through")


key = PREFIX + "/parts é+&"
upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key, Metadata={"colour": "blue"})["UploadId"]
names = dict(Bucket=BUCKET, Key=key, UploadId=upload)
tags = [s3.upload_part(**names, PartNumber=number, Body=PART)["ETag"] for number in (1, 2)]
assert [part["PartNumber"] for part in s3.list_parts(**names)["Parts"]] == [1, 2]
uploads = s3.list_multipart_uploads(Bucket=BUCKET, Prefix=PREFIX + "/")["Uploads"]
assert [entry["Key"] for entry in uploads] == [key], uploads
parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
found = s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=5242879-5242880")
assert found["Body"].read() == b"pp" and found["Metadata"] == {"colour": "blue"}
s3.copy_object(Bucket=BUCKET, Key=PREFIX + "/copy", CopySource={"Bucket": BUCKET, "Key": key})
try:
    s3.put_object(Bucket=BUCKET, Key=PREFIX + "/copy", Body=b"", IfNoneMatch="*")
    raise AssertionError("the condition does not hold")
except ClientError as error:
    assert error.response["Error"]["Code"] == "PreconditionFailed", error
listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX + "/")
assert {PREFIX + "/copy", key} <= {entry["Key"] for entry in listed["Contents"]}, listed

refused(s3.put_object, Bucket=BUCKET, Key="outside", Body=b"x")
refused(s3.create_multipart_upload, Bucket=BUCKET, Key="outside")
refused(s3.list_objects_v2, Bucket=BUCKET)
refused(s3.delete_bucket, Bucket=BUCKET)
refused(s3.copy_object, Bucket=BUCKET, Key=PREFIX + "/x", CopySource={"Bucket": BUCKET, "Key": PREFIX + "2/a"})
# Of many, each is judged by itself.
names = [PREFIX + "/copy", key, PREFIX + "2/a"]
outcome = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": name} for name in names]})
assert {entry["Key"] for entry in outcome["Deleted"]} == set(names[:2]), outcome
assert [(entry["Key"], entry["Code"]) for entry in outcome["Errors"]] == [(names[2], "AccessDenied")], outcome
