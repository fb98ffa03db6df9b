"""A fake cloud that answers every operation a deployment uses, and remembers what exists."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

from cloudlet.call import Params
from cloudlet.errors import AwsError
from cloudlet.template.deploy import SCHEMA, Deployment, delete_stack, deploy
from tests.harness import Bench

ACCOUNT = "us-east-1:000000000000"


class FakeCloud:
    """`calls` are (service, operation, params); `failing` maps an operation to its error."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder / "data", SCHEMA)
        self.folder = folder
        self.calls: list[tuple[str, str, Params]] = []
        self.failing: dict[str, BaseException] = {}
        self.answers: dict[str, Callable[[Params], Params]] = {}
        self.said: list[str] = []
        self.tables: dict[str, Params] = {}
        self.objects: dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        self.bench.cloud.invoke = self._invoke

    def deploy(self, text: str, **parameters: str) -> Deployment:
        path = self.folder / "template.yaml"
        path.write_text(text)
        return asyncio.run(self.deploying(path, **parameters))

    async def deploying(self, path: Path, **parameters: str) -> Deployment:
        return await deploy(
            self.bench.cloud,
            path,
            parameters,
            stack_name="app",
            presign=_presign,
            say=self.said.append,
        )

    def delete(self) -> list[str]:
        return asyncio.run(
            delete_stack(self.bench.cloud, "app", presign=_presign, say=self.said.append)
        )

    def operations(self) -> list[str]:
        return [operation for _, operation, _ in self.calls]

    def params(self, operation: str) -> list[Params]:
        return [params for _, name, params in self.calls if name == operation]

    def rows(self) -> list[tuple[str, str]]:
        rows = self.bench.database.view().all("SELECT * FROM template_resources ORDER BY id")
        return [(row["logical_id"], row["state"]) for row in rows]

    async def _invoke(
        self, service: str, operation: str, params: Params, caller: object = None
    ) -> Params:
        self.calls.append((service, operation, params))
        if operation in self.failing:
            raise self.failing[operation]
        if operation in self.answers:
            return self.answers[operation](params)
        answer = getattr(self, f"_{operation}", None)
        return answer(params) if answer else {}

    def _CreateTable(self, params: Params) -> Params:
        self.tables[params["TableName"]] = params
        return {}

    def _DescribeTable(self, params: Params) -> Params:
        name = params["TableName"]
        arn = f"arn:aws:dynamodb:{ACCOUNT}:table/{name}"
        table = {"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}, **self.tables[name]}
        return {
            "Table": {
                **table,
                "TableArn": arn,
                "TableStatus": "ACTIVE",
                "LatestStreamArn": f"{arn}/stream/1",
            }
        }

    def _CreateFunction(self, params: Params) -> Params:
        return {"FunctionArn": f"arn:aws:lambda:{ACCOUNT}:function:{params['FunctionName']}"}

    def _PublishVersion(self, params: Params) -> Params:
        number = str(next(self._numbers))
        name = params["FunctionName"]
        arn = f"arn:aws:lambda:{ACCOUNT}:function:{name}:{number}"
        return {"FunctionArn": arn, "Version": number}

    def _CreateAlias(self, params: Params) -> Params:
        name = f"{params['FunctionName']}:{params['Name']}"
        return {"AliasArn": f"arn:aws:lambda:{ACCOUNT}:function:{name}"}

    def _PublishLayerVersion(self, params: Params) -> Params:
        number = next(self._numbers)
        return {"LayerVersionArn": f"arn:aws:lambda:{ACCOUNT}:layer:{params['LayerName']}:{number}"}

    def _CreateEventSourceMapping(self, params: Params) -> Params:
        return {"UUID": f"mapping-{next(self._numbers)}"}

    def _CreateRole(self, params: Params) -> Params:
        arn = f"arn:aws:iam::000000000000:role/{params['RoleName']}"
        return {"Role": {"Arn": arn, "RoleId": "AROA1"}}

    def _ImportApi(self, params: Params) -> Params:
        api = f"api{next(self._numbers)}"
        return {"ApiId": api, "ApiEndpoint": f"https://{api}.example"}

    _CreateApi = _ImportApi

    def _CreateStage(self, params: Params) -> Params:
        return {"StageName": params["StageName"]}

    def _CreateRoute(self, params: Params) -> Params:
        return {"RouteId": f"route{next(self._numbers)}"}

    def _CreateIntegration(self, params: Params) -> Params:
        return {"IntegrationId": f"integration{next(self._numbers)}"}

    def _CreateDeployment(self, params: Params) -> Params:
        return {"DeploymentId": f"deployment{next(self._numbers)}"}

    def _PutRule(self, params: Params) -> Params:
        return {"RuleArn": f"arn:aws:events:{ACCOUNT}:rule/{params['Name']}"}

    def _CreateSchedule(self, params: Params) -> Params:
        return {"ScheduleArn": f"arn:aws:scheduler:{ACCOUNT}:schedule/default/{params['Name']}"}

    def _CreateQueue(self, params: Params) -> Params:
        return {"QueueUrl": f"http://127.0.0.1:4566/000000000000/{params['QueueName']}"}

    def _CreateDistribution(self, params: Params) -> Params:
        return {"Distribution": {"Id": "E1", "DomainName": "e1.cloudfront.net"}, "ETag": "1"}

    def _GetDistribution(self, params: Params) -> Params:
        return {"Distribution": {"DistributionConfig": {"Enabled": True}}, "ETag": "1"}

    def _UpdateDistribution(self, params: Params) -> Params:
        return {"ETag": "2"}

    def _GetOriginAccessControl(self, params: Params) -> Params:
        return {"OriginAccessControl": {"OriginAccessControlConfig": {}}, "ETag": "1"}

    def _CreateOriginAccessControl(self, params: Params) -> Params:
        return {"OriginAccessControl": {"Id": "O1"}, "ETag": "1"}

    def _GetObject(self, params: Params) -> Params:
        if params["Key"] not in self.objects:
            raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
        return {"Body": self.objects[params["Key"]]}


def _presign(method: str, bucket: str, key: str) -> str:
    return f"http://127.0.0.1:4566/{bucket}/{key}?X-Amz-Signature=x&method={method}"
