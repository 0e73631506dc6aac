"""The operations one by one, with what boto3's other sessions leave out; fails by an exception."""

import os
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3")
bucket = "bucket"


def refused(code, call, **arguments):
    """Expects an error of that code, with all that S3's errors tell."""
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        assert found["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["RequestId"], error.response
        return error.response
    raise AssertionError(f"{call} was not refused")


# Buckets.
assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
s3.create_bucket(Bucket="second-bucket")
s3.create_bucket(Bucket="second-bucket")
refused("IllegalLocationConstraintException", s3.create_bucket, Bucket="third", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
for name in ["ab", "192.168.1.1", "a..b", "a.-b"]:
    refused("InvalidBucketName", s3.create_bucket, Bucket=name)
first = s3.list_buckets(MaxBuckets=1)
assert [entry["Name"] for entry in first["Buckets"]] == ["bucket"]
rest = s3.list_buckets(MaxBuckets=1, ContinuationToken=first["ContinuationToken"])
assert [entry["Name"] for entry in rest["Buckets"]] == ["second-bucket"] and "ContinuationToken" not in rest
assert [entry["Name"] for entry in s3.list_buckets(Prefix="sec")["Buckets"]] == ["second-bucket"]
s3.put_bucket_acl(Bucket=bucket, ACL="private")
refused("NotImplemented", s3.put_bucket_acl, Bucket=bucket, ACL="public-read")
s3.delete_bucket(Bucket="second-bucket")
refused("NoSuchBucket", s3.delete_bucket, Bucket="second-bucket")

# Errors name what they are about.
error = refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="a b/missing")
assert error["Error"]["Resource"] == "/bucket/a%20b/missing" and error["Error"]["Key"] == "a b/missing", error
refused("NoSuchKey", s3.put_object, Bucket=bucket, Key="missing", Body=b"x", IfMatch='"etag"')
refused("BucketNotEmpty", s3.delete_bucket, Bucket=bucket) if s3.put_object(Bucket=bucket, Key="k", Body=b"text") else None
refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*")

# Keys that XML cannot hold, and listings of them.
odd = ["odd/\x01", "odd/\r\n", "odd/&<>\"'", "odd/%2F+ ", "odd/ü"]
for key in odd:
    s3.put_object(Bucket=bucket, Key=key, Body=b"")
for list_keys in [s3.list_objects, s3.list_objects_v2]:
    found = list_keys(Bucket=bucket, Prefix="odd/")
    assert sorted(entry["Key"] for entry in found["Contents"]) == sorted(odd) and found["Prefix"] == "odd/"
page = s3.list_objects_v2(Bucket=bucket, Prefix="odd/", MaxKeys=2)
assert page["IsTruncated"] and page["KeyCount"] == 2
page = s3.list_objects_v2(Bucket=bucket, Prefix="odd/", ContinuationToken=page["NextContinuationToken"])
assert page["KeyCount"] == 3 and not page["IsTruncated"]
assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0
refused("InvalidArgument", s3.list_objects_v2, Bucket=bucket, ContinuationToken="made up")
refused("InvalidArgument", s3.list_objects_v2, Bucket=bucket, MaxKeys=-1)

# Versions: one of each key, so that programs which empty buckets can do it.
versions = s3.list_object_versions(Bucket=bucket, Prefix="odd/", MaxKeys=3)
assert versions["IsTruncated"] and all(entry["VersionId"] == "null" and entry["IsLatest"] for entry in versions["Versions"])
more = s3.list_object_versions(Bucket=bucket, Prefix="odd/", KeyMarker=versions["NextKeyMarker"], VersionIdMarker=versions["NextVersionIdMarker"])
found = [entry["Key"] for entry in versions["Versions"] + more["Versions"]]
assert sorted(found) == sorted(odd) and not more["IsTruncated"]
s3.delete_object(Bucket=bucket, Key=odd[0])  # the document of a bulk deletion has no name for it
boto3.resource("s3").Bucket(bucket).object_versions.filter(Prefix="odd/").delete()
assert s3.list_objects_v2(Bucket=bucket, Prefix="odd/")["KeyCount"] == 0
refused("InvalidArgument", s3.get_object, Bucket=bucket, Key="k", VersionId="other")

# Parts: copied by range, listed page by page.
s3.put_object(Bucket=bucket, Key="source", Body=bytes(range(256)) * 40_960)
upload = {"Bucket": bucket, "Key": "parts", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]}
ranges = [(0, (5 << 20) - 1), (5 << 20, (10 << 20) - 1), (7, 9)]
parts = []
for number, (start, end) in enumerate(ranges, 1):
    made = s3.upload_part_copy(**upload, PartNumber=number, CopySource={"Bucket": bucket, "Key": "source"}, CopySourceRange=f"bytes={start}-{end}")
    parts.append({"PartNumber": number, "ETag": made["CopyPartResult"]["ETag"]})
refused("InvalidRange", s3.upload_part_copy, **upload, PartNumber=9, CopySource="bucket/source", CopySourceRange="bytes=0-99999999")
refused("InvalidArgument", s3.upload_part_copy, **upload, PartNumber=9, CopySource="bucket/source", CopySourceRange="bytes=5-")
refused("InvalidArgument", s3.upload_part, **upload, PartNumber=10_001, Body=b"x")
page = s3.list_parts(**upload, MaxParts=2)
assert page["IsTruncated"] and [part["PartNumber"] for part in page["Parts"]] == [1, 2] and page["NextPartNumberMarker"] == 2
page = s3.list_parts(**upload, PartNumberMarker=2)
assert [part["Size"] for part in page["Parts"]] == [3] and not page["IsTruncated"]
assert [entry["Key"] for entry in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["parts"]
refused("InvalidPart", s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": [{"PartNumber": 4, "ETag": "x"}]})
refused("InvalidPartOrder", s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts[::-1]})
refused("NoSuchKey", s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts}, IfMatch="x")
s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read()[-3:] == bytes([7, 8, 9])
refused("NoSuchUpload", s3.abort_multipart_upload, Bucket=bucket, Key="parts", UploadId="none")
refused("NoSuchUpload", s3.list_parts, **upload)

# Regions, and buckets in the host.
for region in ["us-east-1", "auto"]:
    assert boto3.client("s3", region_name=region).head_object(Bucket=bucket, Key="k")["ContentLength"] == 4
elsewhere = boto3.client("s3", region_name="eu-west-1", config=Config(s3={"addressing_style": "path"}))
# Signed for another region it is refused, and boto3 signs again for the one that the refusal names.
assert elsewhere.get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"
refused("AuthorizationHeaderMalformed", elsewhere.list_buckets)
port = os.environ["AWS_ENDPOINT_URL"].rsplit(":", 1)[1]
style = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
virtual = boto3.client("s3", endpoint_url=f"http://localhost:{port}", config=style)
link = virtual.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
assert link.startswith(f"http://bucket.localhost:{port}/k?"), link
here = urllib.request.Request(link.replace("bucket.localhost", "127.0.0.1"), headers={"Host": f"bucket.localhost:{port}"})
assert urllib.request.urlopen(here).read() == b"text"

# Everything else is told to be missing, and does nothing.
for call, arguments in [
    (s3.put_bucket_versioning, {"VersioningConfiguration": {"Status": "Enabled"}}),
    (s3.put_bucket_policy, {"Policy": "{}"}),
    (s3.get_bucket_policy, {}),
    (s3.put_bucket_tagging, {"Tagging": {"TagSet": []}}),
    (s3.put_bucket_encryption, {"ServerSideEncryptionConfiguration": {"Rules": []}}),
    (s3.put_bucket_website, {"WebsiteConfiguration": {}}),
    (s3.put_bucket_notification_configuration, {"NotificationConfiguration": {}}),
    (s3.put_object_legal_hold, {"Key": "k"}),
    (s3.restore_object, {"Key": "k"}),
    (s3.select_object_content, {"Key": "k", "Expression": "x", "ExpressionType": "SQL", "InputSerialization": {}, "OutputSerialization": {}}),
    (s3.put_object, {"Key": "k", "Body": b"x", "ServerSideEncryption": "AES256"}),
    (s3.put_object, {"Key": "k", "Body": b"x", "ACL": "public-read"}),
    (s3.put_object, {"Key": "k", "Body": b"x", "GrantRead": "id=x"}),
    (s3.put_object, {"Key": "k", "Body": b"x", "WebsiteRedirectLocation": "/"}),
]:
    refused("NotImplemented", call, Bucket=bucket, **arguments)
refused("InvalidStorageClass", s3.put_object, Bucket=bucket, Key="k", Body=b"x", StorageClass="GLACIER")
assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"
