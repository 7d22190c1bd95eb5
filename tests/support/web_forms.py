"""Forms with files, as a browser sends them."""

from typing import Any


def multipart(token: str, content: bytes, name: str = "large.p7s", field: str = "file") -> dict[str, Any]:
    """A form with a file, as bytes: the client's own encoder leaves its spool file open."""
    parts = (
        b'Content-Disposition: form-data; name="csrf_token"\r\n\r\n' + token.encode(),
        f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode() + content,
    )
    body = b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"
    return {"data": body, "content_type": "multipart/form-data; boundary=x"}
