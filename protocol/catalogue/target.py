"""What a command is asked about: a scenario of the catalogue, or a user's own `path/to/file.py:build`."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import DefinitionError
from ..system import System
from . import Scenario, find_scenario


@dataclass(frozen=True)
class Target:
    """A system to look at. `scenario` is None for a user's own file; `changed` when settings were given."""

    name: str
    system: System
    config: dict[str, Any]
    scenario: Scenario | None = None
    changed: bool = False

    @property
    def expected(self) -> str | None:
        """The recorded verdict, where the bounds are those of the record."""
        return self.scenario.expected if self.scenario is not None and not self.changed else None


def resolve(name: str, settings: Sequence[str] = ()) -> Target:
    """The target of that name, with `key=value` settings applied to its builder's arguments.

    Raises:
        DefinitionError: no such scenario, file, function or setting, or the builder raises; one line with the remedy.
    """
    if ".py" in name:
        builder = load_builder(name)
        config = parse_settings(settings, builder)
        return Target(name, _built(name, builder, config), config, changed=bool(settings))
    scenario = find_scenario(name)
    changes = parse_settings(settings, scenario.build)
    if not changes:
        return Target(name, scenario.system(), dict(scenario.config), scenario)
    config = {**scenario.config, **changes}
    system = _built(name, scenario.build, config).focused(scenario.property)
    return Target(name, system, config, scenario, changed=True)


def load_builder(spec: str) -> Callable[..., System]:
    """The function that `path/to/file.py:build` names (`:build` may be left out).

    Raises:
        DefinitionError: the file or the function is not there, or the file raises.
    """
    path_text, _, function = spec.partition(".py")
    path, function = Path(path_text + ".py"), function.lstrip(":") or "build"
    if not path.is_file():
        raise DefinitionError(f"{path}: there is no such file; give path/to/file.py:build or a scenario of `interlock list`")
    name, root = _module_name(path)
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) != str(path.resolve()):
        del sys.modules[name]  # another file of that name was asked about before
    sys.path.insert(0, str(root))
    try:
        module = import_module(name)
    except Exception as error:
        raise DefinitionError(f"{_where(error, path)}: {_what(error)}; mend the file") from error
    finally:
        sys.path.pop(0)
    builder = getattr(module, function, None)
    if not callable(builder):
        builders = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == name]
        raise DefinitionError(f"{path}: has no function {function!r}; it has {', '.join(builders) or 'none'}")
    return builder  # type: ignore[no-any-return]


def _module_name(path: Path) -> tuple[str, Path]:
    """The dotted name of a file, and the folder from which it is imported: the first above it that is no package."""
    folder, name = path.resolve().parent, path.stem
    while (folder / "__init__.py").is_file():
        folder, name = folder.parent, f"{folder.name}.{name}"
    return name, folder


def parse_settings(settings: Sequence[str], builder: Callable[..., System]) -> dict[str, Any]:
    """`key=value` texts as arguments of the builder, read by the type of each argument's default.

    Raises:
        DefinitionError: no such argument, or a value of another type.
    """
    parameters = inspect.signature(builder).parameters
    config: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise DefinitionError(f"--set {setting}: write key=value")
        if key not in parameters:
            raise DefinitionError(f"--set {setting}: the builder has no argument {key!r}; it has {', '.join(parameters) or 'none'}")
        config[key] = _value(text, parameters[key], setting)
    return config


def _value(text: str, parameter: inspect.Parameter, setting: str) -> Any:
    default = parameter.default
    words = {"true": True, "yes": True, "false": False, "no": False}
    if isinstance(default, bool):
        if text.lower() not in words:
            raise DefinitionError(f"--set {setting}: takes true or false")
        return words[text.lower()]
    if text.lower() == "none" and (default is None or "None" in str(parameter.annotation)):
        return None
    if isinstance(default, int) or (default is None and "int" in str(parameter.annotation)):
        try:
            return int(text)
        except ValueError:
            raise DefinitionError(f"--set {setting}: takes a whole number") from None
    return text


def _built(name: str, builder: Callable[..., System], config: dict[str, Any]) -> System:
    try:
        system = builder(**config)
    except DefinitionError as error:
        raise DefinitionError(f"{name}: {error}") from error
    except Exception as error:
        raise DefinitionError(f"{_where(error, name)}: the builder raised {_what(error)}; mend it or its settings") from error
    if not isinstance(system, System):
        raise DefinitionError(f"{name}: the builder returned {type(system).__name__}, not a System")
    return system


def _what(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, DefinitionError) else f"{type(error).__name__}: {text}" if text else type(error).__name__


def _where(error: Exception, path: object) -> str:
    """`file:line` of the last frame that lies in the user's file."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    name, dot_py, _ = str(path).partition(".py")
    file = name + dot_py
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(Path(file).name)]
    return f"{file}:{frames[-1].lineno}" if frames else file
