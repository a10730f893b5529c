"""Values as YAML that people like to read, and that any YAML reader takes for the same values."""

from typing import Any

import yaml

from batchway.admin.declaration import Placeholder

try:
    from yaml import CSafeDumper as Dumper
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeDumper as Dumper  # type: ignore[assignment]

HEADER = "# Resources, as `batchway import` and the declarative mode of batchway take them, and APISIX.\n"
END = "#END\n"
_STR = "tag:yaml.org,2002:str"


def dump(tree: object) -> str:
    """The text, the same for the same values, with the mark at its end that says it is whole."""
    text: str = yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=100
    )
    return f"{HEADER}{text}{END}"


class _Dumper(Dumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Write everything where it stands."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    """Lines as lines."""
    return dumper.represent_scalar(_STR, value, style="|" if "\n" in value else None)


def _quoted(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    """What stands for it is text, even if it looks like a number."""
    return dumper.represent_scalar(_STR, str(value), style='"')


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Placeholder, _quoted)
