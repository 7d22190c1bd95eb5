"""CAP files made up for tests after the Java Card specification, with the smallest components that add up."""

import io
import zipfile

PACKAGE = bytes.fromhex("F0000000010203")
APPLET = bytes.fromhex("F000000001020301")
LANG = bytes.fromhex("A0000000620001")
TAGS = {
    "Header": 1,
    "Directory": 2,
    "Applet": 3,
    "Import": 4,
    "ConstantPool": 5,
    "Class": 6,
    "Method": 7,
    "StaticField": 8,
    "RefLocation": 9,
    "Export": 10,
    "Descriptor": 11,
}


def component(name: str, body: bytes) -> bytes:
    """Tag, size, body."""
    return bytes([TAGS[name]]) + len(body).to_bytes(2, "big") + body


def components(method_size: int = 30) -> dict[str, bytes]:
    """All components of a package with one applet."""
    bodies = {
        "Header": bytes.fromhex("DECAFFED") + bytes([1, 2, 4, 3, 1, len(PACKAGE)]) + PACKAGE,
        "Applet": bytes([1, len(APPLET)]) + APPLET + b"\x00\x08",
        "Import": bytes([1, 0, 1, len(LANG)]) + LANG,
        "ConstantPool": b"\x00\x00",
        "Class": b"\x00" * 7,
        "Method": bytes(index % 251 for index in range(method_size)),
        "StaticField": bytes(10),
        "RefLocation": bytes(4),
        "Descriptor": bytes(20),
    }
    sizes = dict.fromkeys(range(1, 13), 0) | {TAGS[name]: len(body) for name, body in bodies.items()}
    directory_body = bytes(24 + 9)
    sizes[TAGS["Directory"]] = len(directory_body)
    directory = b"".join(sizes[tag].to_bytes(2, "big") for tag in range(1, 13)) + bytes([0] * 6 + [1, 1, 0])
    bodies["Directory"] = directory
    return {name: component(name, body) for name, body in bodies.items()}


def cap(parts: dict[str, bytes] | None = None, *, prefix: str = "com/example/javacard/") -> bytes:
    """The archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        for name, content in (components() if parts is None else parts).items():
            jar.writestr(f"{prefix}{name}.cap", content)
    return stream.getvalue()
