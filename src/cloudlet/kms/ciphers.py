"""What keys do: encrypt and decrypt little texts, and make data keys.

A ciphertext says which key and which of its materials it is under, so that decrypting needs no
more: format, key id, material id, nonce, sealed text. The encryption context is authenticated, not
kept: who decrypts brings the same one. A text from another account is nobody's here.
https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#encryption-context
"""

import json
import os
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloudlet.call import Call, Output, Params
from cloudlet.errors import AwsError, refuse
from cloudlet.kms import lookup
from cloudlet.kms.lookup import Key
from cloudlet.store.database import Row, View

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_ALGORITHM = "SYMMETRIC_DEFAULT"
_SIZES = {"AES_128": 16, "AES_256": 32}
_ABSENT = ("GrantTokens", "Recipient", "DryRunModifiers", "CustomKeyStoreId")
EncryptionContext = Mapping[str, str]


class Sealed(NamedTuple):
    key_id: str
    material: str
    body: bytes  # nonce and sealed text


def parse(blob: bytes) -> Sealed:
    if blob[:1] != _FORMAT or len(blob) < 49 + _NONCE_BYTES:
        raise _unreadable()
    return Sealed(str(UUID(bytes=blob[1:17])), blob[17:49].hex(), blob[49:])


def _unreadable() -> AwsError:
    return AwsError("InvalidCiphertextException", "")


def _check(params: Params) -> None:
    refuse(params, *_ABSENT, what="KMS: {}")
    for name in ("EncryptionAlgorithm", "SourceEncryptionAlgorithm"):
        _check_algorithm(params.get(name, _ALGORITHM))
    _check_algorithm(params.get("DestinationEncryptionAlgorithm", _ALGORITHM))


def _check_algorithm(name: str) -> None:
    if name != _ALGORITHM:
        raise AwsError(
            "InvalidKeyUsageException",
            f"Algorithm {name} and key spec {_ALGORITHM} are incompatible.",
        )


def _check_dry_run(params: Params) -> None:
    if params.get("DryRun"):
        raise AwsError(
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.",
        )


def _material(view: View, column: str, value: str) -> Row | None:
    sql = f"SELECT * FROM kms_material WHERE {column} = ? ORDER BY number DESC LIMIT 1"
    return view.one(sql, (value,))


def _seal(call: Call, key: Key, text: bytes, context: EncryptionContext | None) -> bytes:
    view = call.cloud.database.view()
    material = _material(view, "key", key["id"])
    assert material is not None
    head = _FORMAT + UUID(key["id"]).bytes + bytes.fromhex(material["id"])
    nonce = os.urandom(_NONCE_BYTES)
    return head + nonce + _cipher(call, material).encrypt(nonce, text, _bound(head, context))


def _cipher(call: Call, material: Row) -> AESGCM:
    return AESGCM(call.cloud.blobs.master.derived("kms").unwrap(material["wrapped"]).key)


def _bound(head: bytes, context: EncryptionContext | None) -> bytes:
    return head + json.dumps(context or {}, sort_keys=True).encode()


def _open(
    call: Call, blob: bytes, context: EncryptionContext | None, named: str | None
) -> tuple[Key, str, bytes]:
    """Key, material's id and text of a ciphertext; `named` is the key that the caller expects."""
    sealed, view = parse(blob), call.cloud.database.view()
    key = lookup.find(call, view, sealed.key_id)
    if named and lookup.find(call, view, named, aliases=True)["id"] != key["id"]:
        raise AwsError(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        )
    lookup.check_usable(call.config, key)
    material = _material(view, "id", sealed.material)
    if material is None or material["key"] != key["id"]:
        raise _unreadable()
    nonce, body = sealed.body[:_NONCE_BYTES], sealed.body[_NONCE_BYTES:]
    try:
        text = _cipher(call, material).decrypt(nonce, body, _bound(blob[:49], context))
    except InvalidTag as error:
        raise _unreadable() from error
    return key, sealed.material, text


async def _usable(call: Call, given: str) -> Key:
    key = await lookup.for_use(call, given)
    lookup.check_usable(call.config, key)
    return key


async def encrypt(call: Call) -> Output:
    params = call.params
    _check(params)
    key = await _usable(call, params["KeyId"])
    _check_dry_run(params)
    return {
        "CiphertextBlob": _seal(call, key, params["Plaintext"], params.get("EncryptionContext")),
        "KeyId": lookup.arn(call.config, key),
        "EncryptionAlgorithm": _ALGORITHM,
    }


def decrypt(call: Call, view: View) -> Output:
    params = call.params
    _check(params)
    blob, context = params["CiphertextBlob"], params.get("EncryptionContext")
    key, material, text = _open(call, blob, context, params.get("KeyId"))
    _check_dry_run(params)
    return {
        "KeyId": lookup.arn(call.config, key),
        "Plaintext": text,
        "EncryptionAlgorithm": _ALGORITHM,
        "KeyMaterialId": material,
    }


async def re_encrypt(call: Call) -> Output:
    params = call.params
    _check(params)
    source = params["CiphertextBlob"], params.get("SourceEncryptionContext")
    old, old_material, text = _open(call, *source, params.get("SourceKeyId"))
    new = await _usable(call, params["DestinationKeyId"])
    _check_dry_run(params)
    blob = _seal(call, new, text, params.get("DestinationEncryptionContext"))
    return {
        "CiphertextBlob": blob,
        "SourceKeyId": lookup.arn(call.config, old),
        "KeyId": lookup.arn(call.config, new),
        "SourceEncryptionAlgorithm": _ALGORITHM,
        "DestinationEncryptionAlgorithm": _ALGORITHM,
        "SourceKeyMaterialId": old_material,
        "DestinationKeyMaterialId": parse(blob).material,
    }


async def generate_data_key(call: Call) -> Output:
    params = call.params
    _check(params)
    size_bytes = _SIZES.get(params.get("KeySpec", ""), params.get("NumberOfBytes"))
    if size_bytes is None or ("KeySpec" in params and "NumberOfBytes" in params):
        raise lookup.invalid("Please specify either number of bytes or key spec.")
    key = await _usable(call, params["KeyId"])
    _check_dry_run(params)
    text = os.urandom(size_bytes)
    blob = _seal(call, key, text, params.get("EncryptionContext"))
    return {
        "CiphertextBlob": blob,
        "Plaintext": text,
        "KeyId": lookup.arn(call.config, key),
        "KeyMaterialId": parse(blob).material,
    }


async def generate_data_key_without_plaintext(call: Call) -> Output:
    output = dict(await generate_data_key(call))
    del output["Plaintext"]
    return output


def generate_random(call: Call, view: View) -> Output:
    refuse(call.params, *_ABSENT, what="KMS: {}")
    size_bytes = call.params.get("NumberOfBytes")
    if size_bytes is None:
        raise lookup.invalid("NumberOfBytes is required.")
    return {"Plaintext": os.urandom(size_bytes)}
