"""Buckets as templates ask for them: those that `cdk bootstrap` and `sam deploy` keep assets in."""

from pathlib import Path

from tests.server import Server

TEMPLATE = """
Resources:
  Assets:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: assets
      AccessControl: Private
      VersioningConfiguration: {Status: Enabled}
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - ServerSideEncryptionByDefault: {SSEAlgorithm: aws:kms}
            BucketKeyEnabled: true
      PublicAccessBlockConfiguration:
        BlockPublicAcls: true
        BlockPublicPolicy: true
        IgnorePublicAcls: true
        RestrictPublicBuckets: true
      LifecycleConfiguration:
        Rules:
          - Id: CleanupOldVersions
            Status: Enabled
            NoncurrentVersionExpiration: {NoncurrentDays: 30, NewerNoncurrentVersions: 3}
          - Status: Enabled
            Prefix: tmp/
            NoncurrentVersionExpirationInDays: 1
          - Status: Enabled
            ExpiredObjectDeleteMarker: true
          - Id: AbortOldUploads
            Status: Enabled
            AbortIncompleteMultipartUpload: {DaysAfterInitiation: 1}
  Vault:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: vault
      ObjectLockEnabled: true
      ObjectLockConfiguration:
        ObjectLockEnabled: Enabled
        Rule: {DefaultRetention: {Mode: GOVERNANCE, Days: 1}}
"""


def test_a_bucket_for_assets(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    server = Server(tmp_path / "data", template).start()
    try:
        s3 = server.client("s3")
        assert s3.get_bucket_versioning(Bucket="assets")["Status"] == "Enabled"
        rules = s3.get_bucket_lifecycle_configuration(Bucket="assets")["Rules"]
        assert rules[0]["NoncurrentVersionExpiration"] == {
            "NoncurrentDays": 30,
            "NewerNoncurrentVersions": 3,
        }
        assert rules[1]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
        assert rules[2]["Expiration"] == {"ExpiredObjectDeleteMarker": True}
        put = s3.put_object(Bucket="assets", Key="k", Body=b"asset")
        assert put["ServerSideEncryption"] == "aws:kms" and put["BucketKeyEnabled"] is True
        head = s3.head_object(Bucket="assets", Key="k")
        assert head["VersionId"] == put["VersionId"]
        assert head["SSEKMSKeyId"].startswith("arn:aws:kms:us-east-1:000000000000:key/")
        assert s3.get_bucket_versioning(Bucket="vault")["Status"] == "Enabled"
        s3.put_object(Bucket="vault", Key="k", Body=b"kept")
        assert s3.head_object(Bucket="vault", Key="k")["ObjectLockMode"] == "GOVERNANCE"
    finally:
        assert server.stop() == 0
