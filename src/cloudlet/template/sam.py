"""SAM template → plain CloudFormation, by AWS's own translator.

The translator takes more than a second to import, so its result is kept in the store under a
digest of all that goes in: the template, the parameters, the digests of all local code and the
translator's version. Local paths become `s3://cloudlet-folder/…` on the way in (see `folders`).
See https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/.
"""

import copy
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cloudlet.call import Cloud
from cloudlet.store.database import Transaction
from cloudlet.template import builds, folders
from cloudlet.template import document as documents
from cloudlet.template.builds import Order, Say
from cloudlet.template.document import Document
from cloudlet.template.folders import Folder
from cloudlet.template.problems import TemplateError

# resource type → the property that may name local code
_CODE = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Lambda::Function": "Code",
    "AWS::Lambda::LayerVersion": "Content",
}
# resource type → (property with a local file's name, property that takes its content)
_BODIES = {
    "AWS::Serverless::Api": ("DefinitionUri", "DefinitionBody"),
    "AWS::Serverless::HttpApi": ("DefinitionUri", "DefinitionBody"),
    "AWS::ApiGateway::RestApi": ("BodyS3Location", "Body"),
    "AWS::ApiGatewayV2::Api": ("BodyS3Location", "Body"),
}
_LAYER_FOLDERS = {"python": "python", "nodejs": "nodejs"}


# resource type → the property that may name a local template
_TEMPLATES = {
    "AWS::Serverless::Application": "Location",
    "AWS::CloudFormation::Stack": "TemplateURL",
}


@dataclass(slots=True)
class Localized:
    """A template without local paths, and the code that they named."""

    document: Document
    say: Say  # when something is built
    code: dict[str, Folder] = field(default_factory=dict)  # logical id → its code
    warnings: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)  # other files that the template is made of


def plain(cloud: Cloud, localized: Localized, parameters: Mapping[str, Any]) -> Document:
    """The CloudFormation document, translated if it is a SAM template."""
    if not documents.is_sam(localized.document):
        return localized.document
    texts = {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in parameters.items()
    }
    version = metadata.version("aws-sam-translator")
    source = json.dumps([localized.document, texts, version, cloud.config.region], sort_keys=True)
    digest = hashlib.sha256(source.encode()).hexdigest()
    row = cloud.database.view().one(
        "SELECT document FROM template_transforms WHERE digest = ?", (digest,)
    )
    if row is not None:
        return dict(json.loads(row["document"]))
    translated = _translate(localized.document, texts, cloud.config.region)

    def remember(tx: Transaction) -> None:
        tx.run(
            "DELETE FROM template_transforms WHERE rowid NOT IN"
            " (SELECT rowid FROM template_transforms ORDER BY rowid DESC LIMIT 20)"
        )
        tx.run(
            "INSERT OR REPLACE INTO template_transforms VALUES (?, ?)",
            (digest, json.dumps(translated)),
        )

    cloud.database.write_now(remember)
    return translated


def localize(cloud: Cloud, document: Document, base: Path, say: Say) -> Localized:
    """Replaces every local path by a URI with the digest of what is there."""
    result = Localized(copy.deepcopy(document), say)
    shared = _shared_code(result.document) or "."  # `sam build`, too, takes the template's folder
    for logical_id, resource in result.document["Resources"].items():
        properties = resource.setdefault("Properties", {}) or {}
        resource["Properties"] = properties
        name = _CODE.get(resource["Type"])
        if name is not None:
            if name not in properties and resource["Type"] == "AWS::Serverless::Function":
                if "InlineCode" in properties or properties.get("PackageType") == "Image":
                    continue
                properties[name] = shared
            _localize_code(cloud, result, logical_id, base)
        if resource["Type"] in _BODIES:
            _localize_body(result, logical_id, base)
        if resource["Type"] in _TEMPLATES:
            _localize_template(cloud, result, logical_id, base)
    return result


def _shared_code(document: Document) -> str | None:
    """Takes `Globals.Function.CodeUri` out, to be resolved per function."""
    functions = (document.get("Globals") or {}).get("Function") or {}
    uri: str | None = functions.pop("CodeUri", None)
    return uri


def _localize_code(cloud: Cloud, result: Localized, logical_id: str, base: Path) -> None:
    resource = result.document["Resources"][logical_id]
    name = _CODE[resource["Type"]]
    value = resource["Properties"].get(name)
    if not isinstance(value, str) or value.startswith(("s3://", "https://")):
        return
    path = (base / value).resolve()
    if not path.exists():
        raise TemplateError(f"{name}: {path} does not exist.", where=logical_id)
    order = _order(result.document, logical_id, path)
    if (
        order is not None
        and order.method == "esbuild"
        and json.loads(order.options).get("Sourcemap")
    ):
        _use_source_maps(resource["Properties"])
    if order is not None and builds.is_needed(order):
        result.files.append(path)  # watched in place of the build
        path = builds.build(cloud.database, cloud.config.data, order, result.say)
    elif order is not None and order.is_layer:
        path = _placed(cloud, order)
    folder = folders.digest(cloud.database, path)
    result.code[logical_id] = folder
    if resource["Type"].startswith("AWS::Serverless::"):
        resource["Properties"][name] = folder.uri
    else:
        resource["Properties"][name] = {"S3Bucket": folders.BUCKET, "S3Key": folder.key}


def _use_source_maps(properties: Document) -> None:
    """As `sam build` does."""
    variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
    if isinstance(variables, dict):
        variables.setdefault("NODE_OPTIONS", "--enable-source-maps")


def _order(document: Document, logical_id: str, path: Path) -> Order | None:
    """What `sam build` would make of it: a function by its runtime, a layer if it says how."""
    if ".aws-sam" in path.parts:  # `sam build` was here
        return None
    resource = document["Resources"][logical_id]
    is_layer = resource["Type"].endswith("LayerVersion")
    metadata_ = resource.get("Metadata") or {}
    method = metadata_.get("BuildMethod")
    if method is None and not is_layer:
        shared = (document.get("Globals") or {}).get("Function") or {}
        method = resource["Properties"].get("Runtime", shared.get("Runtime"))
        if not str(method).startswith(("python", "nodejs")):
            return None
    if not method or not path.is_dir():
        return None
    options = json.dumps(metadata_.get("BuildProperties") or {})
    return Order(logical_id, path, str(method), is_layer, options)


def _placed(cloud: Cloud, order: Order) -> Path:
    """A layer's content in the folder that its runtime reads."""
    if order.language not in _LAYER_FOLDERS:
        return order.folder
    digest = hashlib.sha256(str(order.folder).encode()).hexdigest()[:16]
    place = cloud.config.data / "layers" / digest
    link = place / _LAYER_FOLDERS[order.language]
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(order.folder, target_is_directory=True)
    return place


def _localize_body(result: Localized, logical_id: str, base: Path) -> None:
    resource = result.document["Resources"][logical_id]
    source, target = _BODIES[resource["Type"]]
    value = resource["Properties"].get(source)
    if not isinstance(value, str) or value.startswith("s3://"):
        return
    path = (base / value).resolve()
    try:
        resource["Properties"][target] = documents.parse_any(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError(f"{source}: {error}", where=logical_id) from error
    del resource["Properties"][source]
    result.files.append(path)


def _localize_template(cloud: Cloud, result: Localized, logical_id: str, base: Path) -> None:
    """A nested stack's template goes along in its URL, localized itself."""
    resource = result.document["Resources"][logical_id]
    name = _TEMPLATES[resource["Type"]]
    value = resource["Properties"].get(name)
    if not isinstance(value, str) or "://" in value:
        return
    path = (base / value).resolve()
    inner = localize(cloud, documents.load(path)[1], path.parent, result.say)
    body = json.dumps(inner.document, sort_keys=True)
    resource["Properties"][name] = folders.DATA_URL + quote(body)
    result.code |= {f"{logical_id}.{key}": folder for key, folder in inner.code.items()}
    result.files += [path, *inner.files]
    result.warnings += inner.warnings


class _AwsPolicies(dict[str, str]):
    """AWS's managed policies, beyond those that the translator brings: every name has its ARN."""

    def get(self, name: str, default: Any = None) -> Any:
        return f"arn:aws:iam::aws:policy/{name}" if name.isidentifier() else default

    def __bool__(self) -> bool:
        return True


def _translate(document: Document, parameters: Mapping[str, str], region: str) -> Document:
    import boto3
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it warns about its own metrics
    policies: Callable[[], dict[str, str]] = _AwsPolicies
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=region))
    try:
        translated: Document = translator.translate(
            copy.deepcopy(document), dict(parameters), get_managed_policy_map=policies
        )
    except InvalidDocumentException as error:
        causes = "; ".join(str(cause.message) for cause in error.causes)
        raise TemplateError(
            f"Invalid Serverless Application Specification document. {causes}"
        ) from (error)
    return translated
