"""Serialization: values to bytes and back, by their type.

``json_serde(type)`` is JSON, ``bytes_serde`` bytes as they are, ``serde_for(annotation)`` the one
an annotation gets, ``json_schema(annotation)`` what JSON a type reads. Any object that has the
members of ``Serde`` is a serde.

    _json, _bytes, _selection     the serdes, and which of them an annotation gets
    _codecs                       what a codec is, and the compiler that makes one per type
    _families                     the table of families: how each kind of type is written
    _scalars _texts _enums        values without parts
    _sequences _sets _tuples _mappings _keys _typed_dicts _classes _pydantic _msgspec
                                  values with parts
    _plain _unions _objects _aliases _custom
                                  Any, unions, aliases, and serdes inside of JSON
    _schema                       JSON Schema
    _annotations _members         types as typing has them, and the fields of classes
    _paths _places                where an error is, and how it is told
"""

from __future__ import annotations

from durable_trio.abc import Serde as Serde

from ._bytes import bytes_serde as bytes_serde
from ._json import json_serde as json_serde
from ._schema import json_schema as json_schema
from ._selection import serde_for as serde_for
