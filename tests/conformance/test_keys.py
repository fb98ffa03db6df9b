"""Keys over the network: boto3's client, a template's key, a bucket that it keeps."""

from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.server import Server

TEMPLATE = """
Resources:
  Key:
    Type: AWS::KMS::Key
    Properties:
      Description: of the letters
      EnableKeyRotation: true
      PendingWindowInDays: 7
      KeyPolicy:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Principal: {AWS: !Sub "arn:aws:iam::${AWS::AccountId}:root"},
             Action: "kms:*", Resource: "*"}
      Tags: [{Key: team, Value: blue}]
  Alias:
    Type: AWS::KMS::Alias
    Properties: {AliasName: alias/letters, TargetKeyId: !Ref Key}
  Letters:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: letters
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - ServerSideEncryptionByDefault: {SSEAlgorithm: aws:kms, KMSMasterKeyID: !GetAtt Key.Arn}
            BucketKeyEnabled: true
"""
USER = """{"Version": "2012-10-17", "Statement":
    {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"""


def test_a_templates_key_keeps_a_bucket(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    server = Server(tmp_path / "data", template).start()
    try:
        kms, s3, iam = (server.client(name) for name in ("kms", "s3", "iam"))
        key = kms.describe_key(KeyId="alias/letters")["KeyMetadata"]
        assert key["Description"] == "of the letters"
        assert kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is True
        tags = kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]
        assert tags == [{"TagKey": "team", "TagValue": "blue"}]
        sealed = kms.encrypt(KeyId="alias/letters", Plaintext=b"dear", EncryptionContext={"a": "b"})
        opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext={"a": "b"})
        assert (opened["Plaintext"], opened["KeyId"]) == (b"dear", key["Arn"])
        with pytest.raises(kms.exceptions.InvalidCiphertextException):
            kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])

        put = s3.put_object(Bucket="letters", Key="k", Body=b"dear")
        assert (put["SSEKMSKeyId"], put["BucketKeyEnabled"]) == (key["Arn"], True)
        assert s3.get_object(Bucket="letters", Key="k")["Body"].read() == b"dear"
        iam.create_user(UserName="ann")
        iam.put_user_policy(UserName="ann", PolicyName="s3", PolicyDocument=USER)
        made = iam.create_access_key(UserName="ann")["AccessKey"]
        ann = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=made["AccessKeyId"],
            aws_secret_access_key=made["SecretAccessKey"],
        )
        with pytest.raises(ClientError, match="not authorized to perform: kms:Decrypt"):
            ann.get_object(Bucket="letters", Key="k")
        kms.disable_key(KeyId=key["KeyId"])
        with pytest.raises(ClientError, match=r"\(KMS.DisabledException\)"):
            s3.get_object(Bucket="letters", Key="k")
        kms.enable_key(KeyId=key["KeyId"])
    finally:
        assert server.stop() == 0
