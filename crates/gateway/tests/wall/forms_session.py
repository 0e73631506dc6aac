"""Uploads by forms, signed by boto3 and sent as browsers do; fails by an exception."""

import re
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
bucket = "bucket"


class Stay(urllib.request.HTTPRedirectHandler):
    """Shows a redirection instead of following it."""

    def redirect_request(self, *arguments):
        return None


opener = urllib.request.build_opener(Stay)


def send(form, content=b"content", filename="a b.txt", fields=None, end="\r\n--B--\r\n"):
    fields = form["fields"] if fields is None else fields
    body = "".join(f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    body += f'--B\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\nContent-Type: text/plain\r\n\r\n'
    data = body.encode() + content + end.encode()
    request = urllib.request.Request(form["url"], data, {"Content-Type": "multipart/form-data; boundary=B"})
    try:
        answer = opener.open(request)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read().decode()
    code = re.search("<Code>(.*)</Code>", text)
    return answer.status, code.group(1) if code else text, answer.headers


def refused(code, *arguments, **named):
    answer = send(*arguments, **named)
    assert answer[1] == code, answer


# Plain, with the name of the file in the key.
form = s3.generate_presigned_post(bucket, "up/${filename}")
assert send(form)[0] == 204
assert s3.get_object(Bucket=bucket, Key="up/a b.txt")["Body"].read() == b"content"
assert send(form, b"\r\n--\r\n--A\r" * 300_000, "large")[0] == 204
assert s3.get_object(Bucket=bucket, Key="up/large")["Body"].read() == b"\r\n--\r\n--A\r" * 300_000
assert send(form, b"", "empty")[0] == 204

# What the policy says, and what it does not.
stored = {"Content-Type": "text/x", "x-amz-meta-a": "1", "success_action_status": "201"}
conditions = [{name: value} for name, value in stored.items()] + [["content-length-range", 3, 10]]
form = s3.generate_presigned_post(bucket, "k", Fields=dict(stored), Conditions=conditions)
status, text, headers = send(form)
assert status == 201 and "<Key>k</Key>" in text and headers["ETag"] in text.replace("&quot;", '"'), text
head = s3.head_object(Bucket=bucket, Key="k")
assert head["ContentType"] == "text/x" and head["Metadata"] == {"a": "1"}
refused("EntityTooSmall", form, b"12")
refused("EntityTooLarge", form, b"12345678901")
other = dict(form["fields"], **{"x-amz-meta-a": "2"})
refused("AccessDenied", form, fields=other)
refused("AccessDenied", form, fields=dict(form["fields"], **{"x-amz-meta-b": "2"}))
refused("AccessDenied", form, fields=dict(form["fields"], key="other"))
refused("AccessDenied", form, fields=dict(form["fields"], bucket="elsewhere"))
refused("SignatureDoesNotMatch", form, fields=dict(form["fields"], **{"x-amz-signature": "0" * 64}))
refused("SignatureDoesNotMatch", form, fields=dict(form["fields"], policy="e30="))
refused("AccessDenied", form, fields={"key": "anonymous"})
refused("InvalidAccessKeyId", form, fields=dict(form["fields"], **{"x-amz-credential": "A/20260101/us-east-1/s3/aws4_request", "x-amz-date": "20260101T000000Z"}))
refused("MalformedPOSTRequest", form, fields=dict(form["fields"], **{"KEY": "twice"}))
refused("MalformedPOSTRequest", form, end="")
refused("AccessDenied", s3.generate_presigned_post(bucket, "late", ExpiresIn=-1))
for key in ["anonymous", "late", "other"]:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError:
        continue
    raise AssertionError(key)

# Back to a page.
target = {"success_action_redirect": "http://page.example/done?x=1"}
form = s3.generate_presigned_post(bucket, "k k", Fields=dict(target), Conditions=[target])
status, _, headers = send(form)
assert status == 303 and headers["Location"].startswith("http://page.example/done?x=1&bucket=bucket&key=k%20k&etag=%22"), headers["Location"]
