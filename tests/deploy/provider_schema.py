"""The schema of the Google provider: arguments, blocks and attributes of each resource, at every level.

Read from `@cdktf/provider-google`, whose code was generated from the schema of the provider and says it again, field by
field: in `index.js` with the name and type of each argument, in `index.d.ts` with what is required.
"""

import functools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

FIELD = re.compile(
    r"^(?: {8}| {12})(?P<name>\w+): \{\s+value: (?P<value>.+?),\s+isBlock: (?P<block>true|false),\s+"
    r'type: "(?P<type>\w+)",\s+storageClassType: "(?P<storage>\w+)",\s+\}',
    re.MULTILINE,
)
MAPPER = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
TOP = re.compile(r"^ {4}synthesizeHclAttributes\(\) \{(.*?)^ {4}\}", re.MULTILINE | re.DOTALL)
INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
REQUIRED = re.compile(r"^ {4}readonly (\w+): ", re.MULTILINE)
ATTRIBUTE = re.compile(r"get\w+Attribute\('(\w+)'\)|new \w+\(this, \"(\w+)\"")


@dataclass
class Argument:
    """One argument or block that may be written."""

    kind: str
    is_block: bool
    required: bool
    block: "Block | None" = None


@dataclass
class Block:
    """What may be written inside one pair of braces."""

    arguments: dict[str, Argument] = field(default_factory=dict)


@dataclass
class Resource:
    """A resource or data source."""

    block: Block
    attributes: set[str]


def camel(name):
    head, *tail = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)


class Provider:
    """The resources that the package knows."""

    def __init__(self, node_modules):
        self.package = Path(node_modules) / "@cdktf/provider-google"
        about = json.loads((self.package / "package.json").read_text(encoding="utf-8"))
        self.version = about["cdktf"]["provider"]["version"]

    @functools.cache
    def resource(self, kind, data=False):
        """The schema of one kind, or `None` for a kind that the provider does not have."""
        name = ("data-" if data else "") + kind.replace("_", "-")
        folder = self.package / "lib" / (name if data else name.removeprefix("google-"))
        if not folder.is_dir():
            return None
        code = (folder / "index.js").read_text(encoding="utf-8")
        # The blocks of a large resource are in files of their own.
        blocks = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.js")))
        types = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.d.ts")))
        required = {name: set(REQUIRED.findall(body)) for name, body in INTERFACE.findall(types)}
        mappers = dict(MAPPER.findall(blocks))
        config = next(name for name in required if f"{name} extends cdktf.TerraformMetaArguments" in types)
        top = TOP.search(code).group(1)
        return Resource(block(top, required[config], mappers, required), attributes(code))


def block(text, required_here, mappers, required):
    """The arguments that one mapper lists."""
    found = Block()
    for match in FIELD.finditer(text):
        name = match["name"]
        inner = None
        if match["block"] == "true":
            mapper = re.search(r"(\w+)ToHclTerraform", match["value"]).group(1)
            interface = mapper[:1].upper() + mapper[1:]
            inner = block(mappers[mapper], required.get(interface, set()), mappers, required)
        is_required = camel(name) in required_here
        found.arguments[name] = Argument(match["storage"], match["block"] == "true", is_required, inner)
    return found


def attributes(code):
    """Everything that another resource may read of this one."""
    last = code.rindex("extends cdktf.Terraform")
    return {name for match in ATTRIBUTE.findall(code[last:]) for name in match if name}
