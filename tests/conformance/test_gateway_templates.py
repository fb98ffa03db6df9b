"""API Gateway v2 out of a template: every part of it that has a resource type."""

import json
from pathlib import Path

from websockets.sync.client import connect

from tests.conformance.building import eventually
from tests.server import Server

TEMPLATE = """
Resources:
  Live:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Name: live
      ProtocolType: WEBSOCKET
      RouteSelectionExpression: $request.body.action
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Live
      IntegrationType: MOCK
      TemplateSelectionExpression: \\$default
      RequestTemplates: {$default: '{"statusCode": 200}'}
  Answer:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Live
      IntegrationId: !Ref Mock
      IntegrationResponseKey: $default
      ResponseTemplates: {$default: '{"you": "$context.connectionId"}'}
  Numbered:
    Type: AWS::ApiGatewayV2::Model
    Properties:
      ApiId: !Ref Live
      Name: Numbered
      ContentType: application/json
      Schema: {type: object, required: [n]}
  Default:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Live
      RouteKey: $default
      Target: !Sub integrations/${Mock}
      RouteResponseSelectionExpression: $default
      RequestModels: {$default: !Ref NumberedName}
    DependsOn: Numbered
  Back:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Live, RouteId: !Ref Default, RouteResponseKey: $default}
  LiveStage:
    Type: AWS::ApiGatewayV2::Stage
    Properties:
      ApiId: !Ref Live
      StageName: prod
      AutoDeploy: true
      DefaultRouteSettings: {DetailedMetricsEnabled: true, ThrottlingRateLimit: 100,
                             ThrottlingBurstLimit: 100}
  Plain:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: plain, ProtocolType: HTTP}
  Proxy:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Plain
      IntegrationType: HTTP_PROXY
      IntegrationMethod: GET
      IntegrationUri: !Sub "http://127.0.0.1:${Port}/_cloudlet/health"
      PayloadFormatVersion: "1.0"
      RequestParameters: {"remove:querystring.x": "''"}
      ResponseParameters:
        "200":
          ResponseParameters:
            - {Destination: "overwrite:statuscode", Source: "203"}
            - {Destination: "append:header.x-region", Source: $response.body.region}
  Get:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Plain, RouteKey: GET /health, Target: !Sub "integrations/${Proxy}"}
  PlainStage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Plain, StageName: $default, AutoDeploy: true}
  Domain:
    Type: AWS::ApiGatewayV2::DomainName
    Properties:
      DomainName: parts.example.com
      DomainNameConfigurations: [{CertificateArn: "arn:aws:acm:x", EndpointType: REGIONAL}]
  PlainBelow:
    Type: AWS::ApiGatewayV2::ApiMapping
    Properties: {DomainName: !Ref Domain, ApiId: !Ref Plain, Stage: !Ref PlainStage,
                 ApiMappingKey: plain}
  LiveBelow:
    Type: AWS::ApiGatewayV2::ApiMapping
    Properties: {DomainName: !Ref Domain, ApiId: !Ref Live, Stage: !Ref LiveStage,
                 ApiMappingKey: live}
Parameters:
  Port: {Type: String}
  NumberedName: {Type: String, Default: Numbered}
"""


def test_parts(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    server = Server(tmp_path / "data", template)
    server.options = ("--parameter", f"Port={server.aws_port}")
    server.start()
    try:
        host = {"host": "parts.example.com"}
        answer = server.http.request("GET", f"{server.url}/plain/health?x=1", headers=host)
        assert (answer.status, answer.headers["x-region"]) == (203, "us-east-1")
        apis = server.client("apigatewayv2").get_apis()["Items"]
        live = next(api["ApiId"] for api in apis if api["Name"] == "live")
        url = f"ws://127.0.0.1:{server.aws_port}/_aws/execute-api/{live}/prod"
        with connect(url, proxy=None, open_timeout=60) as socket:
            socket.send('{"n": 1}')
            assert json.loads(socket.recv(timeout=60))["you"]
            socket.send("{}")
            assert json.loads(socket.recv(timeout=60))["message"] == "Invalid request body"
        template.write_text(TEMPLATE.replace('Source: "203"', 'Source: "202"'))

        def status() -> int:
            return server.http.request("GET", f"{server.url}/plain/health", headers=host).status

        eventually(lambda: status() == 202)
    finally:
        server.stop()
