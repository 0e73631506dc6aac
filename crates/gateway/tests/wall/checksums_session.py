"""Checksums that are kept with objects, by boto3; fails by an exception."""

import base64
import hashlib
import zlib

import boto3
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


def crc32(content):
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def sha256(content):
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


# One PUT.
stored = s3.put_object(Bucket=bucket, Key="k", Body=b"text", ChecksumSHA256=sha256(b"text"))
assert stored["ChecksumSHA256"] == sha256(b"text")
assert "ChecksumSHA256" not in s3.head_object(Bucket=bucket, Key="k")
head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
assert head["ChecksumSHA256"] == sha256(b"text") and head["ChecksumType"] == "FULL_OBJECT"
# The SDK compares by itself what it reads.
assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == b"text"
ranged = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", Range="bytes=0-1")
assert "ChecksumSHA256" not in ranged and ranged["Body"].read() == b"te"
refused("BadDigest", s3.put_object, Bucket=bucket, Key="k", Body=b"other", ChecksumSHA256=sha256(b"text"))
refused("BadDigest", s3.put_object, Bucket=bucket, Key="new", Body=b"other", ChecksumCRC32=crc32(b"text"))
refused("404", s3.head_object, Bucket=bucket, Key="new")
s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
assert s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")["ChecksumSHA256"] == sha256(b"text")
found = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "ObjectSize", "StorageClass"])
assert found["ETag"] == hashlib.md5(b"text").hexdigest() and found["ObjectSize"] == 4
assert found["Checksum"] == {"ChecksumSHA256": sha256(b"text"), "ChecksumType": "FULL_OBJECT"}
assert "ObjectParts" not in found and found["StorageClass"] == "STANDARD"
refused("NoSuchKey", s3.get_object_attributes, Bucket=bucket, Key="missing", ObjectAttributes=["ETag"])

# Parts.
parts = [b"a" * (5 << 20), b"b" * (5 << 20), b"the end"]
whole = b"".join(parts)


def upload(key, algorithm, kind):
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert begun["ChecksumAlgorithm"] == algorithm and begun["ChecksumType"] == kind
    name = f"Checksum{algorithm}"
    done = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=number, Body=part, ChecksumAlgorithm=algorithm)
        done.append({"PartNumber": number, "ETag": answer["ETag"], name: answer[name]})
    listed = s3.list_parts(Bucket=bucket, Key=key, UploadId=begun["UploadId"])
    assert listed["ChecksumAlgorithm"] == algorithm and listed["ChecksumType"] == kind
    assert [part[name] for part in listed["Parts"]] == [part[name] for part in done]
    return {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"], "MultipartUpload": {"Parts": done}}


composite = upload("composite", "SHA256", "COMPOSITE")
expected = sha256(b"".join(hashlib.sha256(part).digest() for part in parts)) + "-3"
wrong = [dict(part) for part in composite["MultipartUpload"]["Parts"]]
wrong[1]["ChecksumSHA256"] = sha256(b"other")
refused("InvalidPart", s3.complete_multipart_upload, **{**composite, "MultipartUpload": {"Parts": wrong}})
refused("BadDigest", s3.complete_multipart_upload, **composite, ChecksumSHA256=sha256(b"other") + "-3")
refused("InvalidRequest", s3.complete_multipart_upload, **composite, ChecksumType="FULL_OBJECT")
refused("InvalidRequest", s3.complete_multipart_upload, **composite, MpuObjectSize=5)
refused("404", s3.head_object, Bucket=bucket, Key="composite")
completed = s3.complete_multipart_upload(**composite, ChecksumSHA256=expected, MpuObjectSize=len(whole))
assert completed["ChecksumSHA256"] == expected and completed["ChecksumType"] == "COMPOSITE", completed
head = s3.head_object(Bucket=bucket, Key="composite", ChecksumMode="ENABLED")
assert head["ChecksumSHA256"] == expected and head["ChecksumType"] == "COMPOSITE"
assert s3.get_object(Bucket=bucket, Key="composite", ChecksumMode="ENABLED")["Body"].read() == whole

full = upload("full", "CRC32", "FULL_OBJECT")
refused("BadDigest", s3.complete_multipart_upload, **full, ChecksumCRC32=crc32(b"other"))
completed = s3.complete_multipart_upload(**full, ChecksumCRC32=crc32(whole), ChecksumType="FULL_OBJECT")
assert completed["ChecksumCRC32"] == crc32(whole) and completed["ChecksumType"] == "FULL_OBJECT"
assert s3.get_object(Bucket=bucket, Key="full", ChecksumMode="ENABLED")["Body"].read() == whole

# A part that is copied gets a checksum as well.
begun = s3.create_multipart_upload(Bucket=bucket, Key="copied", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
where = {"Bucket": bucket, "Key": "copied", "UploadId": begun["UploadId"]}
one = s3.upload_part_copy(**where, PartNumber=1, CopySource={"Bucket": bucket, "Key": "full"})["CopyPartResult"]
two = s3.upload_part_copy(**where, PartNumber=2, CopySource={"Bucket": bucket, "Key": "full"}, CopySourceRange="bytes=1-6")["CopyPartResult"]
assert one["ChecksumCRC32"] == crc32(whole) and two["ChecksumCRC32"] == crc32(b"a" * 6)
done = [{"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]} for number, part in [(1, one), (2, two)]]
completed = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": done})
assert completed["ChecksumCRC32"] == crc32(whole + b"a" * 6)

refused("InvalidRequest", s3.create_multipart_upload, Bucket=bucket, Key="x", ChecksumAlgorithm="SHA1", ChecksumType="FULL_OBJECT")
refused("InvalidRequest", s3.create_multipart_upload, Bucket=bucket, Key="x", ChecksumAlgorithm="CRC64NVME", ChecksumType="COMPOSITE")

# Parts of finished objects.
found = s3.get_object_attributes(Bucket=bucket, Key="composite", ObjectAttributes=["ObjectParts"], MaxParts=2)["ObjectParts"]
assert found["TotalPartsCount"] == 3 and found["IsTruncated"] and found["NextPartNumberMarker"] == 2
assert [part["Size"] for part in found["Parts"]] == [5 << 20, 5 << 20]
rest = s3.get_object_attributes(Bucket=bucket, Key="composite", ObjectAttributes=["ObjectParts"], PartNumberMarker=2)["ObjectParts"]
assert rest["Parts"] == [{"PartNumber": 3, "Size": 7, "ChecksumSHA256": sha256(b"the end")}] and not rest["IsTruncated"]
last = s3.get_object(Bucket=bucket, Key="composite", PartNumber=3, ChecksumMode="ENABLED")
assert last["Body"].read() == b"the end" and last["PartsCount"] == 3
assert last["ChecksumSHA256"] == sha256(b"the end") and last["ContentRange"] == f"bytes {10 << 20}-{len(whole) - 1}/{len(whole)}"
head = s3.head_object(Bucket=bucket, Key="composite", PartNumber=2)
assert head["ContentLength"] == 5 << 20 and head["PartsCount"] == 3
refused("InvalidPart", s3.get_object, Bucket=bucket, Key="composite", PartNumber=4)
assert s3.get_object(Bucket=bucket, Key="k", PartNumber=1)["Body"].read() == b"text"
refused("InvalidPart", s3.get_object, Bucket=bucket, Key="k", PartNumber=2)

# Objects whose client sends no checksum get S3's own, and copies another one if it is asked for.
plain = boto3.client("s3", config=Config(request_checksum_calculation="when_required"))
stored = plain.put_object(Bucket=bucket, Key="plain", Body=b"123456789")
assert stored["ChecksumCRC64NVME"] == "rosUhgp5mIg=" and stored["ChecksumType"] == "FULL_OBJECT", stored
found = s3.get_object_attributes(Bucket=bucket, Key="plain", ObjectAttributes=["Checksum"])["Checksum"]
assert found == {"ChecksumCRC64NVME": "rosUhgp5mIg=", "ChecksumType": "FULL_OBJECT"}, found
begun = plain.create_multipart_upload(Bucket=bucket, Key="plain parts")
assert "ChecksumAlgorithm" not in begun
where = {"Bucket": bucket, "Key": "plain parts", "UploadId": begun["UploadId"]}
done = [{"PartNumber": number, "ETag": plain.upload_part(**where, PartNumber=number, Body=body)["ETag"]} for number, body in enumerate(parts, 1)]
completed = plain.complete_multipart_upload(**where, MultipartUpload={"Parts": done})
plain.put_object(Bucket=bucket, Key="whole", Body=whole)
expected = s3.head_object(Bucket=bucket, Key="whole", ChecksumMode="ENABLED")["ChecksumCRC64NVME"]
assert completed["ChecksumCRC64NVME"] == expected and completed["ChecksumType"] == "FULL_OBJECT"
again = plain.complete_multipart_upload(**where, MultipartUpload={"Parts": done})
assert again["ChecksumCRC64NVME"] == expected and again["ETag"] == completed["ETag"]
copied = s3.copy_object(Bucket=bucket, Key="copied", CopySource={"Bucket": bucket, "Key": "composite"}, ChecksumAlgorithm="SHA1")
sha1 = base64.b64encode(hashlib.sha1(whole).digest()).decode()
assert copied["CopyObjectResult"]["ChecksumSHA1"] == sha1, copied
head = s3.head_object(Bucket=bucket, Key="copied", ChecksumMode="ENABLED")
assert head["ChecksumSHA1"] == sha1 and head["ChecksumType"] == "FULL_OBJECT"
refused("InvalidRequest", s3.copy_object, Bucket=bucket, Key="x", CopySource={"Bucket": bucket, "Key": "k"}, ChecksumAlgorithm="NONE")
part = s3.get_object(Bucket=bucket, Key="composite", PartNumber=1, ChecksumMode="ENABLED")
assert part["ChecksumType"] == "COMPOSITE" and "-" not in part["ChecksumSHA256"]
