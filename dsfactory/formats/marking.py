"""What an image says of itself: its IPTC digital source type, as XMP in PNG and JPEG files.

The packet is spliced in beside the pixels, which are not coded again. Equal images get equal bytes.
"""

import struct
import zlib

from dsfactory.core.sample import Media

_NEWSCODES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="{}"/></rdf:RDF></x:xmpmeta>'
)
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PNG_KEYWORD = b"XML:com.adobe.xmp\0\0\0\0\0"
"""Keyword of an iTXt chunk, not compressed, without language (XMP specification, part 3, section 1.1.5)."""
_JPEG_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
_WRAPPED = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>%b<?xpacket end="r"?>'
"""JPEG readers may look for the wrapper (part 1, section 7.3.2)."""
_IHDR_END = 8 + 25


def source_type_url(media: Media) -> str:
    """The IPTC NewsCode of a digital source type; empty for a picture that nobody has changed."""
    return f"{_NEWSCODES}{media}" if media else ""


def mark_image(data: bytes, media: Media) -> bytes:
    """A PNG or JPEG file with its digital source type in it; the same file where there is none to say.

    In a PNG the packet follows the header, in a JPEG the JFIF segment.

    Args:
        data: the file, without XMP.
        media: what it is.
    """
    if not media:
        return data
    packet = _PACKET.format(source_type_url(media)).encode()
    if data.startswith(_PNG):
        body = b"iTXt" + _PNG_KEYWORD + packet
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        return data[:_IHDR_END] + chunk + data[_IHDR_END:]
    place = len(_JPEG)
    if data[place : place + 2] == b"\xff\xe0":
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    content = _JPEG_NAMESPACE + _WRAPPED % packet
    segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    return data[:place] + segment + data[place:]
