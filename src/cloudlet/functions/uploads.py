"""Code on its way in: from the call itself, from an S3 object, or from a folder of this machine."""

import asyncio
from pathlib import Path

from cloudlet.call import Call, Params
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.functions import code, names
from cloudlet.functions.code import FOLDER_BUCKET, Code


async def load(call: Call, source: Params) -> Code:
    """Unpacks what `source` (Code, Content or UpdateFunctionCode's members) names."""
    if source.get("ImageUri") or source.get("SourceKMSKeyArn"):
        raise NotImplementedByCloudlet("ImageUri" if source.get("ImageUri") else "SourceKMSKeyArn")
    data: bytes
    if source.get("ZipFile") is not None:
        data = bytes(source["ZipFile"])
        if len(data) > code.ZIP_BYTES_MAX:
            raise AwsError(
                "RequestEntityTooLargeException",
                f"Zip file must be smaller than {code.ZIP_BYTES_MAX} bytes",
                413,
            )
    elif source.get("S3Bucket") == FOLDER_BUCKET and call.caller.kind == "service":
        return await asyncio.to_thread(code.of_folder, Path(source["S3Key"]))
    elif source.get("S3Bucket") and source.get("S3Key"):
        data = await _from_s3(call, source)
    else:
        raise names.invalid("Please provide a source for function code.")
    store = call.config.data / "functions"
    made = await asyncio.to_thread(code.of_zip, data, store, call.config.new_id())
    await asyncio.to_thread(call.cloud.blobs.keep_folder, Path(made.folder))
    return made


async def _from_s3(call: Call, source: Params) -> bytes:
    params = {"Bucket": source["S3Bucket"], "Key": source["S3Key"]}
    if source.get("S3ObjectVersion"):
        params["VersionId"] = source["S3ObjectVersion"]
    try:
        answer = await call.cloud.invoke("s3", "GetObject", params, call.caller)
    except AwsError as error:
        raise names.invalid(
            f"Error occurred while GetObject. S3 Error Code: {error.code}. S3 Error Message:"
            f" {error.message}"
        ) from None
    body = answer["Body"]
    if isinstance(body, bytes):
        return body
    chunks, size_bytes = [], 0
    try:
        async for chunk in body:
            size_bytes += len(chunk)
            if size_bytes > code.UNPACKED_BYTES_MAX:
                raise names.invalid(
                    f"Unzipped size must be smaller than {code.UNPACKED_BYTES_MAX} bytes"
                )
            chunks.append(bytes(chunk))
    finally:
        if hasattr(body, "aclose"):
            await body.aclose()
    return b"".join(chunks)
