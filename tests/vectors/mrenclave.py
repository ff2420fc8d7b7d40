"""A second implementation of MRENCLAVE: reads an SGXS file into pages, measures these anew as the SDM says (ECREATE,
EADD, EEXTEND), and compares with the file's SHA-256 and with what its SIGSTRUCT signs.
"""
import hashlib
import struct
import sys

PAGE = 4096
CHUNK = 256


def pages_of(stream):
    """(ssa_frame_pages, size, [(offset, secinfo flags, content)])"""
    tag, ssa_frame_pages, size = struct.unpack_from("<8sIQ", stream, 0)
    assert tag == b"ECREATE\0", tag
    at, pages = 64, []
    while at < len(stream):
        tag, offset, flags = struct.unpack_from("<8sQQ", stream, at)
        assert tag == b"EADD\0\0\0\0", (at, tag)
        at += 64
        content = b""
        while stream[at:at + 8] == b"EEXTEND\0":
            assert struct.unpack_from("<Q", stream, at + 8)[0] == offset + len(content)
            content += stream[at + 64:at + 64 + CHUNK]
            at += 64 + CHUNK
        assert len(content) == PAGE, f"page {offset:#x} is not measured whole"
        pages.append((offset, flags, content))
    return ssa_frame_pages, size, pages


def measure(ssa_frame_pages, size, pages):
    digest = hashlib.sha256(struct.pack("<8sIQ44x", b"ECREATE", ssa_frame_pages, size))
    for offset, flags, content in pages:
        digest.update(struct.pack("<8sQQ40x", b"EADD", offset, flags))
        for at in range(0, PAGE, CHUNK):
            digest.update(struct.pack("<8sQ48x", b"EEXTEND", offset + at) + content[at:at + CHUNK])
    return digest.digest()


def main():
    for name in sys.argv[1:]:
        with open(name + ".sgxs", "rb") as file:
            stream = file.read()
        with open(name + ".sig", "rb") as file:
            sigstruct = file.read()
        measured = measure(*pages_of(stream))
        assert measured == hashlib.sha256(stream).digest(), f"{name}: the file's SHA-256 is not its MRENCLAVE"
        assert measured == sigstruct[960:992], f"{name}: the SIGSTRUCT signs another MRENCLAVE"
        modulus, exponent = int.from_bytes(sigstruct[128:512], "little"), struct.unpack_from("<I", sigstruct, 512)[0]
        signature = int.from_bytes(sigstruct[516:900], "little")
        digest = hashlib.sha256(sigstruct[:128] + sigstruct[900:1028]).digest()
        assert pow(signature, exponent, modulus).to_bytes(384, "big").endswith(b"\0" + bytes.fromhex(
            "3031300d060960864801650304020105000420") + digest), f"{name}: the signature does not verify"
        print(f"{measured.hex()}  {name}.sgxs")


if __name__ == "__main__":
    main()
