"""SGX's formats written anew in Python, for tests: MRENCLAVE, SIGSTRUCT, and enclaves as Intel's SDK writes them.
A second implementation on purpose: it shares no code with host/enclave/image."""
import hashlib
import os
import struct
import subprocess

PAGE, CHUNK = 4096, 256
REG, TCS = 0x200, 0x100
R, W, X = 1, 2, 4
SIG_HEADER = bytes.fromhex("06000000e10000000000010000000000")
SIG_HEADER2 = bytes.fromhex("01010000600000006000000001000000")
RSA = 384


class Measure:
    """ECREATE, EADD and EEXTEND; also keeps the records: an SGXS stream."""

    def __init__(self, size, ssa_frame_pages=1):
        self.stream = bytearray(struct.pack("<8sIQ44x", b"ECREATE", ssa_frame_pages, size))

    def page(self, offset, flags, content=b"", chunks=range(16), unmeasured=False):
        self.stream += struct.pack("<8sQQ40x", b"EADD", offset, flags)
        content = content.ljust(PAGE, b"\0")
        for chunk in range(16):
            record = b"EEXTEND" if chunk in chunks else b"UNMEASRD"
            if chunk in chunks or unmeasured:
                at = chunk * CHUNK
                self.stream += struct.pack("<8sQ48x", record, offset + at) + content[at:at + CHUNK]

    def mrenclave(self):
        digest, at = hashlib.sha256(), 0
        while at < len(self.stream):
            size = 320 if self.stream[at:at + 8] in (b"EEXTEND\0", b"UNMEASRD") else 64
            if self.stream[at:at + 8] != b"UNMEASRD":
                digest.update(self.stream[at:at + size])
            at += size
        return digest.digest()


def make_key(path, bits=3072, exponent=("-3",)):
    subprocess.run(["openssl", "genrsa", *exponent, "-out", path, str(bits)], check=True, capture_output=True)
    os.chmod(path, 0o600)
    return path


def modulus_of(key):
    text = subprocess.run(["openssl", "rsa", "-in", key, "-noout", "-modulus"], check=True, capture_output=True,
                          text=True).stdout
    return int(text.split("=")[1], 16)


def sign(key, mrenclave, product=1, svn=1, flags=4, xfrm=3):
    """A SIGSTRUCT by OpenSSL's command line and Python's integers."""
    head = SIG_HEADER + struct.pack("<II", 0, 0x20240229) + SIG_HEADER2 + struct.pack("<I84x", 0)
    body = struct.pack("<II20xQQQQ32s32xHH", 0, 0xffffffff, flags, xfrm, 0xffffffffffffffff - 1, 3, mrenclave, product,
                       svn)
    assert len(head) == 128 and len(body) == 128, (len(head), len(body))
    signature = int.from_bytes(subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=head + body,
                                              check=True, capture_output=True).stdout, "big")
    modulus = modulus_of(key)
    square = signature * signature
    quotients = square // modulus, square % modulus * signature // modulus
    numbers = [number.to_bytes(RSA, "little") for number in (modulus, signature, *quotients)]
    return head + numbers[0] + struct.pack("<I", 3) + numbers[1] + body + bytes(12) + numbers[2] + numbers[3]


def mrsigner(key):
    return hashlib.sha256(modulus_of(key).to_bytes(RSA, "little")).hexdigest()


class SdkEnclave:
    """An ELF file with text, data and bss, text relocations, and the pages that the SDK's loader adds: a TCS with its
    SSA and stack, filled guard patterns, a gap, a group that repeats them, and a row that is only added later."""

    range_bytes, text_at, data_at = 1 << 21, 0, 0x3000

    def __init__(self, key, versions, patches=True, groups=2, sizes=(0x1234, 0x800, 0x2100)):
        self.key, self.versions, self.patches, self.groups = key, versions, patches, groups
        text, data, self.data_bytes = sizes
        self.text = bytes(range(256)) * (text // 256 + 1)
        self.text = bytearray(self.text[:text])
        self.data = bytearray(b"data" * (data // 4))
        self.relocated = {0x1ffc}  # crosses into the page at 0x2000
        rela_at = 0x100
        struct.pack_into("<QQq", self.text, rela_at, 0x1ffc, 8, 0)
        struct.pack_into("<QQq", self.text, rela_at + 24, 0x4000, 0, 0)  # R_X86_64_NONE: no page of its own
        self.dynamic = struct.pack("<QQQQQQQQ", 22, 0, 7, rela_at, 8, 48, 0, 0)  # TEXTREL, RELA, RELASZ, NULL

    def rows(self):
        tcs = struct.pack("<QQQIIQQQQII", 0, 0, 0x1000, 0, 2, 0x10, 0, 0x5000, 0x6000, 0xfff, 0xfff)
        content = tcs.ljust(72, b"\0")
        return content, [
            # id, attributes, pages, address, content size or pattern, has content, flags
            (1, 3, 2, 0x10000, 0xcccccccc, False, REG | R | W),
            (2, 0, 4, 0x12000, 0, False, 0),
            (3, 3, 1, 0x16000, len(content), True, TCS),
            (4, 3, 2, 0x17000, 0, False, REG | R | W),
            (5, 1, 3, 0x19000, 0, False, REG | R | W),
            (6, 0x28, 1, 0x1c000, 0, False, REG | R | W),
            (0x1007, 4, self.groups, 0x20000, 0, False, 0),
            (8, 3, 1, 0x100000, 0, False, REG | R),
        ]

    def file_with(self, metadata):
        self.text_offset, segments = 0x1000, []
        data_offset = (self.text_offset + len(self.text) + 15) & ~15
        dynamic_offset = data_offset + len(self.data)
        note = struct.pack("<III", 13, len(metadata), 1) + b"sgx_metadata\0" + metadata
        note_offset = dynamic_offset + len(self.dynamic)
        names = b"\0.note.sgxmeta\0.shstrtab\0"
        names_offset = note_offset + len(note)
        sections_offset = (names_offset + len(names) + 15) & ~15
        segments.append((1, 5, self.text_offset, self.text_at, len(self.text), len(self.text)))
        segments.append((1, 6, data_offset, self.data_at + 0x10, len(self.data), self.data_bytes))
        segments.append((2, 6, dynamic_offset, 0, len(self.dynamic), len(self.dynamic)))
        self.segments = segments
        header = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 3, 62, 1, 0x10, 64, sections_offset, 0, 64,
                             56, len(segments), 64, 3, 2)
        body = bytearray(header)
        for kind, flags, offset, address, in_file, in_memory in segments:
            body += struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, in_file, in_memory, 1)
        for offset, part in ((self.text_offset, self.text), (data_offset, self.data), (dynamic_offset, self.dynamic),
                             (note_offset, note), (names_offset, names)):
            body = body.ljust(offset, b"\0") + part
        body = body.ljust(sections_offset, b"\0") + bytes(64)
        body += struct.pack("<IIQQQQIIQQ", 1, 7, 0, 0, note_offset, len(note), 0, 0, 1, 0)
        return bytes(body + struct.pack("<IIQQQQIIQQ", 15, 3, 0, 0, names_offset, len(names), 0, 0, 1, 0))

    def metadata(self, version, sigstruct):
        content, rows = self.rows()
        patch = b"patched!"
        patches_at = 64 + 1808 + 16
        layout_at = patches_at + (32 if self.patches else 0)
        content_at = layout_at + 32 * len(rows)
        patch_at = content_at + len(content)
        major, minor = (int(part) for part in version.split("."))
        size = patch_at + len(patch) + 8 * minor  # the versions differ in what follows
        out = struct.pack("<QQIIIIIIQQQ", 0x86A80294635D0E4C, major << 32 | minor, size, 0, 1, 0, 0, 0, self.range_bytes,
                          4, 3) + sigstruct
        out += struct.pack("<IIII", patches_at, 32 if self.patches else 0, layout_at, 32 * len(rows))
        if self.patches:
            out += struct.pack("<QII16x", 0x1000 + 0x40, patch_at, len(patch))
        for row, attributes, pages, address, number, has_content, flags in rows:
            out += struct.pack("<HHIQIIQ", row, attributes, pages, address, number, content_at if has_content else 0,
                               flags)
        return (out + content + patch).ljust(size, b"\0")

    def expected(self):
        """The SDK's rules once more, from the tables and not from the file."""
        measure = Measure(self.range_bytes)
        text = bytearray(self.text)
        if self.patches:
            text[0x40:0x48] = b"patched!"
        writable = {address & ~(PAGE - 1) for address in self.relocated} | {(a + 7) & ~(PAGE - 1) for a in self.relocated}
        for _, flags, _, address, in_file, in_memory in self.segments[:2]:
            rights = REG | (R if flags & 4 else 0) | (W if flags & 2 else 0) | (X if flags & 1 else 0)
            memory = bytes(address % PAGE) + (text if address == self.text_at else self.data)
            for at in range(0, address % PAGE + in_memory, PAGE):
                page = (address & ~(PAGE - 1)) + at
                extra = W if page in writable and at < len(memory) else 0
                measure.page(page, rights | extra, bytes(memory[at:at + PAGE]))
        content, rows = self.rows()

        def add(row, delta):
            _, attributes, pages, address, number, has_content, flags = row
            if not attributes & 1 or flags == 0:
                return
            address += delta
            page = struct.pack("<I", number) * 1024
            if has_content:
                fields = list(struct.unpack_from("<QQQIIQQQQII", content))
                for index in (2, 7, 8):
                    fields[index] += address
                page = struct.pack("<QQQIIQQQQII", *fields)
            for index in range(pages):
                measure.page(address + index * PAGE, flags, page, range(16) if attributes & 2 else ())

        for index, row in enumerate(rows):
            if row[0] & 0x1000:
                for time in range(1, row[2] + 1):
                    for other in rows[index - row[1]:index]:
                        add(other, row[3] * time)
            else:
                add(row, 0)
        return measure.mrenclave()

    def write(self, path, forms_differ=False):
        self.file_with(b"")  # lays out the segments
        mrenclave = self.expected()
        sigstruct = sign(self.key, mrenclave, product=42, svn=7)
        forms = []
        for index, version in enumerate(self.versions):
            if forms_differ and index == 1:
                self.groups += 1
            forms.append(self.metadata(version, sigstruct))
        with open(path, "wb") as file:
            file.write(self.file_with(b"".join(forms)))
        return mrenclave.hex()
