"""Encryption at rest: data keys under the data folder's master key seal the records.

Each StartStreamEncryption makes a key of its own; a record's id is its nonce, which no other record
ever has. Records written before stay as they are, as on AWS.
https://docs.aws.amazon.com/streams/latest/dev/what-is-sse.html
"""

from cloudlet.call import Call
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.kinesis.lookup import invalid, require
from cloudlet.store.database import Transaction, View
from cloudlet.store.sealing import DataKey, Master

_OWN_KEY = "alias/aws/kinesis"


class Keyring:
    """Unwrapped keys, by their ids."""

    def __init__(self, master: Master) -> None:
        self.wrapper = master.derived("kinesis")
        self._keys: dict[int, DataKey] = {}

    def key(self, view: View, key_id: int) -> DataKey:
        if key_id not in self._keys:
            wrapped = view.value("SELECT wrapped FROM kinesis_keys WHERE id = ?", (key_id,))
            self._keys[key_id] = self.wrapper.unwrap(wrapped)
        return self._keys[key_id]


def start_stream_encryption(call: Call, tx: Transaction) -> None:
    stream, key_id = require(call, tx), call.params["KeyId"]
    if call.params["EncryptionType"] != "KMS":
        raise invalid("EncryptionType must be KMS.")
    if not key_id.endswith(_OWN_KEY):
        raise NotImplementedByCloudlet(f"The key {key_id} (of streams: {_OWN_KEY} alone)")
    wrapper: Keyring = call.state.records.keys
    made = wrapper.wrapper.new_key().wrapped
    key = tx.run("INSERT INTO kinesis_keys (wrapped) VALUES (?)", (made,)).lastrowid
    sql = "UPDATE kinesis_streams SET key_id = ?, data_key = ? WHERE id = ?"
    tx.run(sql, (key_id, key, stream["id"]))


def stop_stream_encryption(call: Call, tx: Transaction) -> None:
    sql = "UPDATE kinesis_streams SET key_id = NULL, data_key = NULL WHERE id = ?"
    tx.run(sql, (require(call, tx)["id"],))
