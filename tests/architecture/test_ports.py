"""Does each action name the little that it needs of the database?"""

import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType

import countermand.actions
from countermand.contracts.http.store import Transaction
from countermand.storage.direct import Direct
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.store import SqlStore

STORAGE = Path(__file__).parents[2] / "src" / "countermand" / "storage"
MODULES = [
    importlib.import_module(one.name)
    for one in pkgutil.walk_packages(countermand.actions.__path__, "countermand.actions.")
    if not one.ispkg
]
OWN_CAP = 15


def test_no_protocol_of_the_actions_has_more_than_fifteen_methods_of_its_own():
    own = {name: len(methods_of(protocol, inherited=False)) for name, protocol in protocols().items()}

    assert len(own) > 30
    assert {name: count for name, count in own.items() if count > OWN_CAP} == {}


def test_no_action_takes_all_that_a_transaction_can_do():
    everything = methods_of(Transaction)
    taken = {name: methods_of(protocol) for name, protocol in taken_by_actions()}

    assert len(taken) > 30
    assert {name: len(methods) for name, methods in taken.items() if len(methods) > len(everything) / 2} == {}


def test_everything_a_transaction_can_do_is_named_by_an_action():
    named = {method for _, protocol in taken_by_actions() for method in methods_of(protocol)}

    assert len(named) > 60
    assert methods_of(Transaction) - named == set()


def test_what_a_method_of_storage_refers_to_is_a_method_of_that_protocol():
    """Of the methods that implement a protocol, the docstring names the protocol and the method."""
    known = {**protocols(), "SqlStore": SqlStore, "Direct": Direct}
    referred = [
        (path.name, protocol, method)
        for path in STORAGE.rglob("*.py")
        for protocol, method in re.findall(r'"""See `(\w+)\.(\w+)`', path.read_text(encoding="utf-8"))
    ]

    assert len(referred) > 60
    wrong = [one for one in referred if one[1] not in known or one[2] not in methods_of(known[one[1]], inherited=False)]
    assert wrong == []


def test_the_transaction_of_storage_has_every_method():
    """That each has the protocol's types is mypy's to check, in `bootstrap/service.py`, which makes the services."""
    assert {method for method in methods_of(Transaction) if not hasattr(SqlTransaction, method)} == set()


def protocols() -> Mapping[str, type]:
    """The protocols that the modules of the actions define."""
    return {
        one.__name__: one
        for module in MODULES
        for one in vars(module).values()
        if inspect.isclass(one) and one.__module__ == module.__name__ and is_protocol(one)
    }


def taken_by_actions() -> Iterator[tuple[str, type]]:
    """Each protocol that stands in the signature of an action, in the field of one, or in a store's brackets there."""
    for module in MODULES:
        for name, one in signatures(module):
            for annotation in typing.get_type_hints(one).values():
                for protocol in named_in(annotation):
                    yield f"{module.__name__}.{name}: {protocol.__name__}", protocol


def signatures(module: ModuleType) -> Iterator[tuple[str, FunctionType | type]]:
    """The functions of a module, its classes that are no protocols, and the methods of all its classes."""
    for name, one in vars(module).items():
        if getattr(one, "__module__", None) != module.__name__:
            continue
        if isinstance(one, FunctionType):
            yield name, one
        elif inspect.isclass(one):
            if not is_protocol(one):
                yield name, one
            yield from ((f"{name}.{key}", value) for key, value in vars(one).items() if isinstance(value, FunctionType))


def named_in(annotation: object) -> Iterator[type]:
    """The protocols in an annotation; for a type variable, its bound."""
    if isinstance(annotation, typing.TypeVar):
        yield from named_in(annotation.__bound__)
    for one in typing.get_args(annotation):
        yield from named_in(one)
    for one in getattr(annotation, "__orig_bases__", ()):  # of a store that is a protocol itself
        yield from named_in(one) if typing.get_args(one) else ()
    if inspect.isclass(annotation) and is_protocol(annotation):
        yield annotation


def is_protocol(one: type) -> bool:
    """Whether a class is a protocol, and no class that implements one."""
    return bool(getattr(one, "_is_protocol", False))


def methods_of(protocol: type, *, inherited: bool = True) -> frozenset[str]:
    """The names of a protocol's methods."""
    names = dir(protocol) if inherited else vars(protocol)
    return frozenset(name for name in names if not name.startswith("_") and callable(getattr(protocol, name)))
