"""The error of a template that cannot be what it says, and the warning that accompanies one."""

from cloudlet.errors import AwsError


class TemplateError(AwsError):
    """CloudFormation's `ValidationError`, with the place in the template in front."""

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__("ValidationError", f"{where}: {message}" if where else message, 400)
        self.where = where

    def inside(self, where: str) -> "TemplateError":
        """The same error, seen from further out (the file, the logical id)."""
        return TemplateError(self.message, where=where)
