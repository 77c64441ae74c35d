"""Requests held against the documents in which Google describes its interfaces.

google-api-python-client ships them.
"""

import functools
import json
from importlib.resources import files
from typing import Any

TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool}


def errors(body: Any, api: str, version: str, schema: str) -> list[str]:
    """Returns what in `body` is not as `schema` of the interface has it, a line each."""
    return list(_errors(body, {"$ref": schema}, _schemas(api, version), schema))


@functools.cache
def _schemas(api: str, version: str) -> dict:
    documents = files("googleapiclient") / "discovery_cache" / "documents"
    return json.loads((documents / f"{api}.{version}.json").read_text())["schemas"]


def _errors(value: Any, schema: dict, schemas: dict, place: str) -> list[str]:
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    kind = schema.get("type", "any")
    if kind == "any":
        return []
    if kind == "object":
        return _of_object(value, schema, schemas, place)
    if kind == "array":
        if not isinstance(value, list):
            return [f"{place} is no list"]
        parts = enumerate(value)
        return [e for i, v in parts for e in _errors(v, schema["items"], schemas, f"{place}[{i}]")]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{place} is {value!r}, no {kind}"]
    if value not in schema.get("enum", [value]):
        return [f"{place} is {value!r}, not one of {schema['enum']}"]
    return []


def _of_object(value: Any, schema: dict, schemas: dict, place: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{place} is no object"]
    found, properties = [], schema.get("properties", {})
    for name, part in value.items():
        of = properties.get(name) or schema.get("additionalProperties")
        if of is None:
            found.append(f"{place} has no field {name}")
        elif of.get("readOnly"):
            found.append(f"{place}.{name} is the service's to set")
        else:
            found += _errors(part, of, schemas, f"{place}.{name}")
    return found
