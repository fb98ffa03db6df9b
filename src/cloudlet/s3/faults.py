"""S3's errors that more than one operation raises, with AWS's wording.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from cloudlet.errors import AwsError


def no_such_bucket(name: str) -> AwsError:
    return AwsError("NoSuchBucket", "The specified bucket does not exist", 404, BucketName=name)


def no_such_key(key: str) -> AwsError:
    return AwsError("NoSuchKey", "The specified key does not exist.", 404, Key=key)


def no_such_upload(upload_id: str) -> AwsError:
    return AwsError(
        "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may "
        "have been aborted or completed.",
        404,
        UploadId=upload_id,
    )


def access_denied() -> AwsError:
    return AwsError("AccessDenied", "Access Denied", 403)


def invalid_argument(message: str, name: str = "", value: object = None) -> AwsError:
    fields = {"ArgumentName": name} if name else {}
    if value is not None:
        fields["ArgumentValue"] = str(value)
    return AwsError("InvalidArgument", message, 400, **fields)


def invalid_request(message: str) -> AwsError:
    return AwsError("InvalidRequest", message, 400)


def malformed_xml() -> AwsError:
    return AwsError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
        400,
    )


def method_not_allowed(**fields: str) -> AwsError:
    text = "The specified method is not allowed against this resource."
    return AwsError("MethodNotAllowed", text, 405, **fields)


def precondition_failed(condition: str) -> AwsError:
    return AwsError(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        412,
        Condition=condition,
    )
