"""The look of the command line's help, and of its messages about wrong usage."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

# What is wrong with a value, by the kind of error of the validator, whose own words are those of a programmer.
WRONG = {
    "float_parsing": "should be a number",
    "int_parsing": "should be a whole number",
    "greater_than_equal": "should be at least {ge}",
    "less_than_equal": "should be at most {le}",
}


class GroupedCommands(TyperGroup):
    """The list of commands in the sections that their `rich_help_panel` names; nothing is cut off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            first = " ".join((command.help or "").partition("\n\n")[0].split())
            sections.setdefault(command.rich_help_panel, []).append((name, first))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)


def usage_message(error: Any, arguments: Sequence[str], commands: Sequence[str]) -> str:
    """Return the text of a usage error with the command whose help to read, or the whole help if no command was given.

    Args:
        error: A usage error of Typer.
        arguments: The arguments of the command line.
        commands: The names of all commands.
    """
    message: str = error.format_message()
    if message.startswith("Usage:"):
        return message
    context = getattr(error, "ctx", None)
    option = getattr(error, "option_name", None)
    if option is not None and type(error).__name__ == "NoSuchOption" and context is not None:
        message = f"No such option: {option}."
        if meant := _meant(option, context.command) or " or ".join(getattr(error, "possibilities", None) or ()):
            message += f" Did you mean {meant}?"
    elif getattr(error, "param", None) is not None:
        message = _wrong_value(error) or message.replace("Value error, ", "")
    else:
        message = message.removeprefix("Invalid value: ")
    named = [word for word in arguments[:1] if word in commands]
    which = " ".join(["mrvae", *named]) if context is None else context.command_path
    return f"{message}{'' if message.endswith(('.', '?', '!')) else '.'} See: {which} --help"


def _wrong_value(error: Any) -> str:
    """Return what is wrong with the value of an option, in plain words; empty if there are no words for it."""
    faults = getattr(error.__cause__, "errors", None)
    if faults is None:
        return ""
    fault = faults()[0]
    words = WRONG.get(fault["type"], "").format(**fault.get("ctx", {}))
    return f"{' / '.join(error.param.opts)} {fault['input']}: {words}" if words else ""


def _meant(option: str, command: Any) -> str:
    """Return what an unknown option may stand for: a short one, or a key of a recipe."""
    name = option.lstrip("-").replace("-", "_")
    options = {each for parameter in command.params for each in parameter.opts}
    if f"-{name}" in options:
        return f"-{name}"
    if "--set" not in options:
        return ""
    from mrvae_zoo.training.recipe import Recipe

    sections = {field.name: field.type for field in dataclasses.fields(Recipe) if field.name != "trained"}
    for section, kind in sections.items():
        if dataclasses.is_dataclass(kind) and name in (field.name for field in dataclasses.fields(kind)):
            return f"--set {section}.{name}=VALUE"
    return ""
