// A sample application of the CDK: a function with a local folder's code, a table that it counts in.
const cdk = require("aws-cdk-lib");
const dynamodb = require("aws-cdk-lib/aws-dynamodb");
const lambda = require("aws-cdk-lib/aws-lambda");
const sqs = require("aws-cdk-lib/aws-sqs");
const path = require("node:path");

class Inner extends cdk.NestedStack {
  constructor(scope, id) {
    super(scope, id);
    this.queue = new sqs.Queue(this, "Queue");
  }
}

class Counter extends cdk.Stack {
  constructor(scope, id, props) {
    super(scope, id, props);
    const inner = new Inner(this, "Inner");
    const table = new dynamodb.TableV2(this, "Table", {
      partitionKey: { name: "name", type: dynamodb.AttributeType.STRING },
      removalPolicy: cdk.RemovalPolicy.DESTROY,
    });
    const counter = new lambda.Function(this, "Function", {
      runtime: lambda.Runtime.PYTHON_3_12,
      handler: "app.handler",
      code: lambda.Code.fromAsset(path.join(__dirname, "function")),
      memorySize: Number(this.node.tryGetContext("memory") ?? 128),
      environment: { TABLE: table.tableName, QUEUE: inner.queue.queueUrl },
    });
    table.grantReadWriteData(counter);
    new cdk.CfnOutput(this, "FunctionName", { value: counter.functionName });
  }
}

const app = new cdk.App();
cdk.Tags.of(app).add("made-by", "cdk");
new Counter(app, "Counter", { env: { account: "000000000000", region: "us-east-1" } });
