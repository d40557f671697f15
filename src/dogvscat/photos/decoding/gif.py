"""How many blocks a GIF has before its first frame. Source: CompuServe's GIF89a specification, sections 15 to 24."""

SIGNATURES = (b"GIF87a", b"GIF89a")
_HEADER_BYTES = 13
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B


def count_blocks(data: bytes, limit: int) -> int:
    """The number of data blocks of extensions, and of bytes that belong to nothing, before the first frame.

    Args:
        data: The whole file.
        limit: Where counting may stop; the result is then larger.
    """
    num_blocks, position = 0, _HEADER_BYTES
    flags = data[10] if len(data) > 10 else 0
    if flags & 0x80:  # a table of colors follows
        position += 3 << ((flags & 7) + 1)
    while position < len(data) and num_blocks <= limit:
        kind = data[position]
        if kind in (_IMAGE, _TRAILER):
            break
        position += 1
        num_blocks += 1
        if kind == _EXTENSION:
            position += 1  # its label
            while position < len(data) and data[position] and num_blocks <= limit:
                position += 1 + data[position]
                num_blocks += 1
            position += 1  # the empty block at its end
    return num_blocks
