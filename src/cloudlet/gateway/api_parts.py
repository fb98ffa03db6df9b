"""The five operations on each kind of part of an API: they are alike, and made from a table.

What a part must say is its module's own (`save`), also what keeps it from being deleted (`free`).
https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/operations.html
"""

from collections.abc import Callable
from dataclasses import dataclass

from cloudlet.call import Call, Output
from cloudlet.gateway import configuration
from cloudlet.gateway.configuration import Document
from cloudlet.store.database import Transaction, View
from cloudlet.wire.service import Operation, made

Save = Callable[[Call, Transaction, Document | None], Document]
Free = Callable[[Call, Transaction, str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """`noun` is in the operations' names; `parent` the noun of the part that it belongs to."""

    noun: str
    save: Save  # checks and stores; of a new part there is nothing before
    free: Free = lambda call, tx, identifier: None
    key: str = ""  # the parameter that names one
    parent: str = ""

    @property
    def kind(self) -> str:
        return self.noun.lower()

    def _name(self, call: Call) -> str:
        name: str = call.params[self.key or f"{self.noun}Id"]
        return name

    def create(self, call: Call, tx: Transaction) -> Output:
        return self.save(call, tx, None)

    def get(self, call: Call, view: View) -> Output:
        return configuration.part(view, call.params["ApiId"], self.kind, self._name(call))

    def list(self, call: Call, view: View) -> Output:
        api_id, above = call.params["ApiId"], None
        if self.parent:
            above = call.params[f"{self.parent}Id"]
            configuration.part(view, api_id, self.parent.lower(), above)
        else:
            configuration.api(view, api_id)
        return configuration.page(configuration.parts(view, api_id, self.kind, above), call.params)

    def update(self, call: Call, tx: Transaction) -> Output:
        return self.save(call, tx, self.get(call, tx))

    def delete(self, call: Call, tx: Transaction) -> None:
        api_id, name = call.params["ApiId"], self._name(call)
        self.free(call, tx, name)
        configuration.delete_part(tx, api_id, self.kind, name)
        configuration.changed(call, tx, api_id)

    def operations(self) -> dict[str, Operation]:
        one = {"Create": self.create, "Get": self.get, "Update": self.update, "Delete": self.delete}
        return made(self.noun, **one) | made(f"{self.noun}s", Get=self.list)
