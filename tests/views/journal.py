"""A reader of journald's native protocol, made from its description and not from guard's writer."""

from __future__ import annotations


def parse(data: bytes) -> list[tuple[str, str]]:
    """(name, value) of every field. Raises ValueError for anything but whole fields with good names."""
    fields, rest = [], data
    while rest:
        head, newline, after = rest.partition(b"\n")
        if not newline:
            raise ValueError("a field without its end")
        name, equals, value = head.partition(b"=")
        if equals:
            rest = after
        else:
            length = int.from_bytes(after[:8], "little")
            value, end, rest = after[8 : 8 + length], after[8 + length : 9 + length], after[9 + length :]
            if len(value) != length or end != b"\n":
                raise ValueError("a value that is not as long as it says")
        told = name.decode("ascii")
        if (
            not told
            or not all(one.isupper() or one.isdigit() or one == "_" for one in told)
            or told[0] in "_0123456789"
        ):
            raise ValueError(f"{told!r} is no name of a field")
        fields.append((told, value.decode()))
    return fields
