"""The template section Rules: assertions about parameters, before anything is done.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html.
"""

from typing import Any

from cloudlet.template.document import Document
from cloudlet.template.intrinsics import Scope, resolve, truth
from cloudlet.template.problems import TemplateError


def check(document: Document, scope: Scope) -> None:
    """Raises with every assertion that does not hold."""
    broken = []
    for name, rule in (document.get("Rules") or {}).items():
        if "RuleCondition" in rule and not _holds(scope, rule["RuleCondition"]):
            continue
        broken += [
            each.get("AssertDescription", f"Rule {name} is not satisfied")
            for each in rule.get("Assertions") or []
            if not _holds(scope, each.get("Assert"))
        ]
    if broken:
        raise TemplateError(f"Template validation error: Template constraints: {'; '.join(broken)}")


def _holds(scope: Scope, value: Any) -> bool:
    if isinstance(value, dict) and len(value) == 1:
        name, argument = next(iter(value.items()))
        if name == "Fn::Not":
            return not _holds(scope, argument[0])
        if name in ("Fn::And", "Fn::Or"):
            return (all if name == "Fn::And" else any)(_holds(scope, each) for each in argument)
        if name in ("Fn::Contains", "Fn::EachMemberIn", "Fn::EachMemberEquals"):
            left, right = (resolve(scope, part) for part in argument)
            return {
                "Fn::Contains": lambda: right in left,
                "Fn::EachMemberIn": lambda: all(each in right for each in left),
                "Fn::EachMemberEquals": lambda: all(each == right for each in left),
            }[name]()
    return truth(scope, value)
