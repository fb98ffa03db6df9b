"""AWS::DynamoDB::GlobalTable with one replica, in this region: that is a table.

The CDK's TableV2 makes no other type.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-globaltable.html.
"""

from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources import dynamodb
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.words import words

_TABLE = dynamodb.KINDS[0]
_OF_REPLICA = words("DeletionProtectionEnabled PointInTimeRecoverySpecification TableClass Tags")


def _table(properties: Properties) -> Properties:
    """As AWS::DynamoDB::Table has it."""
    replicas = properties["Replicas"]
    if len(replicas) != 1:
        raise TemplateError("Replicas: only one is implemented by cloudlet.")
    settings = {key: value for key, value in properties.items() if key != "Replicas"}
    for key, value in replicas[0].items():
        if key in _OF_REPLICA:
            settings[key] = value
        elif key != "Region" and value:
            raise TemplateError(f"Replicas.{key} is not implemented by cloudlet.")
    return settings


def _check(properties: Properties) -> None:
    assert _TABLE.check is not None
    _TABLE.check(_table(properties))


async def _create(ctx: Context, properties: Properties) -> Known:
    region = properties["Replicas"][0]["Region"]
    if region != ctx.cloud.config.region:
        raise TemplateError(f"Replicas: {region} is not this cloud's region.")
    return await _TABLE.create(ctx, _table(properties))


async def _update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    assert _TABLE.update is not None
    return await _TABLE.update(ctx, known, _table(new), _table(old))


KINDS = (
    Kind(
        "AWS::DynamoDB::GlobalTable",
        words(
            "AttributeDefinitions BillingMode GlobalSecondaryIndexes KeySchema"
            " LocalSecondaryIndexes Replicas SSESpecification StreamSpecification TableName"
            " TimeToLiveSpecification"
        ),
        _create,
        _TABLE.delete,
        _update,
        fixed=_TABLE.fixed,
        name="TableName",
        required=words("AttributeDefinitions KeySchema Replicas"),
        holds_data=_TABLE.holds_data,
        check=_check,
        settles=True,
    ),
)
