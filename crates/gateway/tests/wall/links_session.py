"""Links and forms as boto3 and aws-cli make them unless they are told otherwise: signed with version 2."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

s3 = boto3.client("s3")
bucket = "bucket"


def fetch(link, method="GET", data=None, headers={}):
    request = urllib.request.Request(link, data, headers, method=method)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.read().decode()


def link(call, key="k k/ü", expires=60, client=s3, **arguments):
    return client.generate_presigned_url(call, Params={"Bucket": bucket, "Key": key, **arguments}, ExpiresIn=expires)


def refused(code, *arguments, **named):
    status, text = fetch(*arguments, **named)
    assert status >= 400 and f"<Code>{code}</Code>" in text, (arguments, status, text)


s3.put_object(Bucket=bucket, Key="k k/ü", Body=b"text", ContentType="text/x")
get = link("get_object")
assert "AWSAccessKeyId=" in get and "X-Amz-Signature" not in get, get
assert fetch(get) == (200, "text")
assert fetch(link("head_object"), "HEAD")[0] == 200
assert fetch(link("get_object", ResponseContentType="text/y")) == (200, "text")
virtual = boto3.client("s3", endpoint_url=s3.meta.endpoint_url.replace("127.0.0.1", "localhost"), config=Config(s3={"addressing_style": "virtual"}))
assert urlsplit(link("get_object", client=virtual)).hostname == "bucket.localhost"
by_host = urlsplit(link("get_object", client=virtual))
# Not every resolver knows names below localhost.
here = by_host._replace(netloc=f"127.0.0.1:{by_host.port}").geturl()
assert fetch(here, headers={"Host": by_host.netloc}) == (200, "text")
refused("SignatureDoesNotMatch", here, headers={"Host": f"other.localhost:{by_host.port}"})

# Nothing but what was signed, for as long as it was signed.
refused("SignatureDoesNotMatch", get, "DELETE")
refused("SignatureDoesNotMatch", get, "PUT", b"other")
refused("SignatureDoesNotMatch", get.replace("k%20k", "other"))
refused("SignatureDoesNotMatch", re.sub("Expires=([0-9]+)", lambda found: f"Expires={int(found[1]) + 1}", get))
refused("SignatureDoesNotMatch", get + "&response-content-type=text%2Fhtml")
refused("SignatureDoesNotMatch", get, headers={"x-amz-copy-source": "/bucket/other"})
refused("AccessDenied", get + "&anything=1")
refused("AccessDenied", s3.generate_presigned_url("list_objects_v2", Params={"Bucket": bucket, "Prefix": "k"}))
refused("AccessDenied", link("get_object", expires=-10))
refused("AuthorizationQueryParametersError", link("get_object", expires=8 * 24 * 3600))
refused("AuthorizationQueryParametersError", get + "&Expires=1")
refused("InvalidAccessKeyId", get.replace("AWSAccessKeyId=", "AWSAccessKeyId=X"))
assert s3.get_object(Bucket=bucket, Key="k k/ü")["Body"].read() == b"text"

# Uploads by link: urllib insists on a type, which is signed as well.
put = link("put_object", "put", ContentType="text/z")
assert "content-type=text%2Fz" in put, put
assert fetch(put, "PUT", b"put", {"Content-Type": "text/z"})[0] == 200
assert s3.head_object(Bucket=bucket, Key="put")["ContentType"] == "text/z"
refused("AccessDenied", put, "PUT", b"put", {"Content-Type": "text/other"})
refused("SignatureDoesNotMatch", put.replace("text%2Fz", "text%2Fother"), "PUT", b"put", {"Content-Type": "text/other"})

# aws-cli as it comes.
aws = Path(sys.executable).with_name("aws")
shown = subprocess.run([aws, "s3", "presign", "s3://bucket/put"], check=True, capture_output=True, text=True).stdout.strip()
assert fetch(shown) == (200, "put"), shown

# Forms, with tags and a checksum.
tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
form = s3.generate_presigned_post(bucket, "form/${filename}", Fields={"tagging": tags}, Conditions=[{"tagging": tags}])
assert "AWSAccessKeyId" in form["fields"], form


def send(fields, content=b"123456789"):
    body = "".join(f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    body += '--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    data = body.encode() + content + b"\r\n--B--\r\n"
    return fetch(form["url"], "POST", data, {"Content-Type": "multipart/form-data; boundary=B"})


assert send(form["fields"] | {"x-amz-checksum-crc32": "y/Q5Jg=="})[0] == 204
assert s3.get_object_tagging(Bucket=bucket, Key="form/f")["TagSet"] == [{"Key": "a", "Value": "1"}]
assert s3.head_object(Bucket=bucket, Key="form/f", ChecksumMode="ENABLED")["ChecksumCRC32"] == "y/Q5Jg=="
for code, fields in [
    ("BadDigest", form["fields"] | {"x-amz-checksum-crc32": "AAAAAA=="}),
    ("AccessDenied", form["fields"] | {"tagging": tags.replace("1", "2")}),
    ("SignatureDoesNotMatch", form["fields"] | {"signature": "AAAA"}),
    ("SignatureDoesNotMatch", form["fields"] | {"policy": json.dumps({})}),
    ("InvalidAccessKeyId", form["fields"] | {"AWSAccessKeyId": "X"}),
    ("InvalidArgument", {name: value for name, value in form["fields"].items() if name != "signature"}),
]:
    status, text = send(fields)
    assert status >= 400 and f"<Code>{code}</Code>" in text, (code, text)
