"""The services ssm and ecr, as far as deployments need them.

Their operations are named here, because botocore's models of them are large: they are loaded with
the first call, not at every start.
"""

from cloudlet.registry import parameters, permissions, repositories
from cloudlet.wire.service import Service, operations

_SSM = (
    "AddTagsToResource DeleteParameter DeleteParameters DescribeParameters GetParameter"
    " GetParameterHistory GetParameters GetParametersByPath ListTagsForResource PutParameter"
    " RemoveTagsFromResource"
)
_ECR = (
    "CreateRepository DeleteLifecyclePolicy DeleteRepository DeleteRepositoryPolicy DescribeImages"
    " DescribeRepositories GetLifecyclePolicy GetRepositoryPolicy ListImages ListTagsForResource"
    " PutImageScanningConfiguration PutImageTagMutability PutLifecyclePolicy SetRepositoryPolicy"
    " TagResource UntagResource"
)


def service() -> list[Service]:
    ssm, ecr = operations(_SSM.split(), parameters), operations(_ECR.split(), repositories)
    return [
        Service("ssm", ssm, permissions.of_ssm),
        Service("ecr", ecr, permissions.of_ecr, permissions.repository_policies),
    ]
