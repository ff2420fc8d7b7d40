#!/usr/bin/python3
"""`caisson enclave`: builds, signs, measures and inspects, our images and those of others.
`enclave_images.py CAISSON BUILD`"""
import hashlib
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import expect, run_tests  # noqa: E402
from sgx_format import REG, TCS, R, SdkEnclave, Measure, W, X, make_key, mrsigner, sign  # noqa: E402

BUILD = sys.argv[2]
IMAGES = ("null", "null_hardened", "curve", "witness")
SIGSTRUCT_SVN = 1026


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def expect_error(home, status, words, *said):
    got, out, err = home.run(*words)
    line = f"caisson {' '.join(words)}: status {got}, printed {out!r}, said {err!r}"
    expect(got == status and out == "" and err.count("\n") == 1, f"expected status {status} and one line: {line}")
    for part in said:
        expect(part in err, f"expected {part!r}: {line}")


def facts(home, status, *words):
    got, out, err = home.run("enclave", *words, "--json")
    expect(got == status, f"{words}: status {got}, not {status}: {out} {err}")
    return json.loads(out)


def key_in(home, name="signer.pem", **how):
    return make_key(os.path.join(home.folder, name), **how)


# [IMAGE-1]
def sha256sum_prints_mrenclave_of_every_image(home):
    for name in IMAGES:
        path = os.path.join(BUILD, name + ".sgxs")
        measured = facts(home, 0, "measure", path)
        summed = subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True).stdout.split()[0]
        expect(measured["mrenclave"] == summed, f"{name}: {measured['mrenclave']} is not {summed}")
        expect(measured["pages_not_measured_whole"] == 0 and measured["page_count"] > 50, f"{name}: {measured}")
        signature = measured["signature"]
        expect(signature["valid"] and signature["names_image"] and not signature["debug"], f"{name}: {signature}")


def an_image_is_built_and_signed_with_a_key_of_ones_own(home):
    key = key_in(home)
    image = os.path.join(home.folder, "mine.sgxs")
    elf = os.path.join(BUILD, "tests/null_chamber/null.elf")
    built = home.verb("enclave", "build", elf, "--output", image)
    expect(built.split()[0] == hashlib.sha256(read(image)).hexdigest(), built)
    expect(read(image) == read(os.path.join(BUILD, "null.sgxs")), "the build's own tool makes another image")
    home.verb("enclave", "sign", image, "--key", key, "--product", "7", "--svn", "3")
    measured = facts(home, 0, "measure", image)
    signature = measured["signature"]
    expect((signature["product"], signature["svn"], signature["debug"]) == (7, 3, False), f"{signature}")
    expect(signature["mrsigner"] == mrsigner(key), "MRSIGNER is not the SHA-256 of the modulus")
    other = sign(key, bytes.fromhex(measured["mrenclave"]), 7, 3)
    expect(read(image[:-4] + "sig")[128:512] == other[128:512], "another modulus than Python's")
    home.verb("enclave", "sign", image, "--key", key, "--product", "7", "--svn", "4", "--debug", "--output",
              os.path.join(home.folder, "debug.sig"))
    text = home.verb("enclave", "measure", image, "--signature", os.path.join(home.folder, "debug.sig"))
    expect("debug       YES" in text and "SVN         4" in text, text)
    small = os.path.join(home.folder, "small.sgxs")
    home.verb("enclave", "build", elf, "--output", small, "--stack", "32")
    expect(facts(home, 0, "measure", small)["mrenclave"] != measured["mrenclave"], "another layout, the same MRENCLAVE")


# [IMAGE-5]
def inspect_shows_pages_threads_and_how_it_was_built(home):
    shown = facts(home, 0, "inspect", os.path.join(BUILD, "curve.sgxs"), "--pages")
    expect(sum(run["pages"] for run in shown["runs"]) == shown["page_count"] == len(shown["pages"]), "runs and pages")
    expect(all(page["chunks_measured"] == 16 for page in shown["pages"]), "a page is not measured whole")
    expect(not any("w" in page["permissions"] and "x" in page["permissions"] for page in shown["pages"]), "W and X")
    expect(len(shown["threads"]) == 1 and shown["threads"][0]["ssa_frames"] >= 2, f"{shown['threads']}")
    expect(shown["ssa_frame_pages"] >= 2, "no room for an AVX-512 XSAVE area")
    expect(shown["chamber"] == {"lfence": False, "verw": False}, f"note: {shown['chamber']}")
    signature = shown["signature"]
    expect(signature["xfrm"] == 3 and signature["xfrm_mask"] == "0x3", "XFRM above SSE must be the machine's choice")
    first = read(os.path.join(BUILD, "curve.sgxs"))
    content = b"".join(first[128 + 320 * n + 64:128 + 320 * n + 320] for n in range(16))
    expect(shown["pages"][0]["sha256"] == hashlib.sha256(content).hexdigest(), "the first page's content")
    text = home.verb("enclave", "inspect", os.path.join(BUILD, "curve.sgxs"))
    for part in ("TCS at", "r-x", "rw-", "measured", "XFRM mask", "MODE64BIT", "hardening: none"):
        expect(part in text, f"{part!r} is not in {text}")


# [IMAGE-5]
def hardening_is_in_the_code_in_the_image_and_on_the_screen(home):
    image, elf = (os.path.join(BUILD, name) for name in ("null_hardened.sgxs", "tests/null_chamber/null_hardened.elf"))
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", elf], check=True, capture_output=True, text=True).stdout
    plain = subprocess.run(["objdump", "-d", "--no-show-raw-insn", elf.replace("_hardened.", ".")], check=True,
                           capture_output=True, text=True).stdout
    expect(code.count("\tlfence") > 500 and code.count("\tverw") == 1, "the hardened chamber has no such instructions")
    expect("lfence" not in plain and "verw" not in plain, "the plain chamber has them too")
    shown = facts(home, 0, "inspect", image)
    expect(shown["chamber"] == {"lfence": True, "verw": True}, f"note: {shown['chamber']}")
    expect("LFENCE after loads, VERW on the way out" in home.verb("enclave", "inspect", image), "not said to people")
    content = bytearray(read(image))
    content[64 + 64 + 64 + 20] ^= 1  # the note's bits: whoever denies them has another enclave
    forged = facts(home, 65, "measure", write(os.path.join(home.folder, "forged.sgxs"), content), "--signature",
                   image[:-4] + "sig")
    expect(not forged["signature"]["names_image"], f"{forged}")


def an_altered_image_or_signature_is_a_finding(home):
    image, signature = (os.path.join(home.folder, "null" + ending) for ending in (".sgxs", ".sig"))
    shutil.copy(os.path.join(BUILD, "null.sgxs"), image)
    shutil.copy(os.path.join(BUILD, "null.sig"), signature)
    content = bytearray(read(image))
    content[64 + 64 + 64 + 100] ^= 1
    write(image, content)
    found = facts(home, 65, "measure", image)["signature"]
    expect(found["valid"] and not found["names_image"], f"an altered image: {found}")
    expect("FOR ANOTHER IMAGE" in home.run("enclave", "measure", image)[1], "not said to people")
    shutil.copy(os.path.join(BUILD, "null.sgxs"), image)
    for at in (SIGSTRUCT_SVN, 520):
        broken = bytearray(read(os.path.join(BUILD, "null.sig")))
        broken[at] ^= 1
        write(signature, broken)
        found = facts(home, 65, "measure", image)["signature"]
        expect(not found["valid"] and found["flaw"], f"altered at {at}: {found}")
    os.remove(signature)
    expect(facts(home, 0, "measure", image)["signature"] is None, "a signature out of nowhere")
    expect_error(home, 66, ["enclave", "measure", image, "--signature", signature], signature)


def keys_that_sgx_does_not_take_are_refused_and_write_nothing(home):
    image = os.path.join(home.folder, "null.sgxs")
    shutil.copy(os.path.join(BUILD, "null.sgxs"), image)
    keys = {"65537.pem": {"exponent": ()}, "2048.pem": {"bits": 2048}}
    paths = [key_in(home, name, **how) for name, how in keys.items()]
    paths.append(write(os.path.join(home.folder, "text.pem"), b"no key at all\n"))
    for path in paths:
        expect_error(home, 65, ["enclave", "sign", image, "--key", path, "--product", "1", "--svn", "1"], path,
                     "3072", "exponent 3", "openssl genrsa -3")
    expect_error(home, 66, ["enclave", "sign", image, "--key", "/nonexistent", "--product", "1", "--svn", "1"],
                 "/nonexistent")
    expect_error(home, 64, ["enclave", "sign", image, "--key", paths[0], "--product", "65536", "--svn", "1"], "65535")
    expect(not os.path.exists(image[:-4] + "sig"), "something was written")


def what_is_no_image_is_named_and_refused(home):
    def at(name, content):
        return write(os.path.join(home.folder, name), content)

    whole = read(os.path.join(BUILD, "null.sgxs"))
    expect_error(home, 66, ["enclave", "measure", "/nonexistent"], "/nonexistent")
    for name, content, said in (
            ("empty", b"", "no enclave"), ("text", b"hello\n" * 100, "SGXS stream"),
            ("cut.sgxs", whole[:-1], "cut.sgxs"), ("record.sgxs", whole + b"X" * 64, "unknown record"),
            ("plain.elf", read("/bin/true"), "SDK's metadata")):
        expect_error(home, 66 if name == "plain.elf" else 65, ["enclave", "measure", at(name, content)], name, said)
    out = os.path.join(home.folder, "out.sgxs")
    elf = BUILD + "/tests/null_chamber/null.elf"
    expect_error(home, 65, ["enclave", "build", at("a", read(elf)[:5000]), "--output", out], "a: ")
    expect_error(home, 65, ["enclave", "build", elf, "--output", out, "--range", "64"], "range")
    expect(not os.path.exists(out), "something was written")


# [IMAGE-6]
def foreign_streams_are_measured_and_a_page_that_is_not_is_never_signed(home):
    key = key_in(home)
    stream = Measure(1 << 20)
    stream.page(0x3000, REG | R | X, b"\xc3" * 4096)
    stream.page(0x1000, REG | R | W, b"later", chunks=(15, 3))
    stream.page(0x2000, REG | R | W, b"unmeasured", chunks=(), unmeasured=True)
    stream.page(0x8000, TCS, bytes(4096))
    image = write(os.path.join(home.folder, "foreign.sgxs"), stream.stream)
    write(image[:-4] + "sig", sign(key, stream.mrenclave(), 3, 2))
    measured = facts(home, 0, "measure", image)
    expect(measured["mrenclave"] == stream.mrenclave().hex(), "another MRENCLAVE than Python's")
    expect(measured["pages_not_measured_whole"] == 2 and measured["signature"]["valid"], f"{measured}")
    expect("2 NOT MEASURED WHOLE" in home.verb("enclave", "measure", image), "not said to people")
    alone = facts(home, 0, "measure", image[:-4] + "sig")
    expect(alone["format"] == "sigstruct" and alone["signature"]["mrenclave"] == measured["mrenclave"], f"{alone}")
    expect_error(home, 65, ["enclave", "sign", image, "--key", key, "--product", "1", "--svn", "1", "--output",
                            os.path.join(home.folder, "no.sig")], "2 of 4 pages are not measured whole")


# [IMAGE-4]
def enclaves_of_intels_sdk_are_measured(home):
    key = key_in(home)
    kinds = {("1.5",): {"patches": False}, ("2.3", "2.1", "1.4"): {},
             ("2.4", "1.4"): {"groups": 5, "sizes": (0x2fff, 0x10, 0x10)}}
    for versions, how in kinds.items():
        path = os.path.join(home.folder, "sdk.signed.so")
        expected = SdkEnclave(key, versions, **how).write(path)
        measured = facts(home, 0, "measure", path)
        expect(measured["mrenclave"] == expected, f"{versions}: {measured['mrenclave']} is not {expected}")
        expect(measured["metadata"] == list(versions) and measured["format"] == "sdk-elf", f"{measured}")
        signature = measured["signature"]
        expect(signature["names_image"] and signature["mrsigner"] == mrsigner(key), f"{signature}")
        expect((signature["product"], signature["svn"]) == (42, 7), f"{signature}")
    content = bytearray(read(path))
    content[0x1000] ^= 1
    altered = facts(home, 65, "measure", write(path, content))
    expect(altered["mrenclave"] != expected and not altered["signature"]["names_image"], f"{altered}")


def broken_metadata_of_the_sdk_is_refused(home):
    key = key_in(home)
    path = os.path.join(home.folder, "sdk.signed.so")
    SdkEnclave(key, ("2.4", "1.4")).write(path, forms_differ=True)
    expect_error(home, 65, ["enclave", "measure", path], "not the same enclave")
    SdkEnclave(key, ("3.0",)).write(path)
    expect_error(home, 65, ["enclave", "measure", path], "version 3.0")
    SdkEnclave(key, ("2.4",)).write(path)
    whole = read(path)
    rows = whole.index(bytes.fromhex("0100030002000000"), whole.index(b"sgx_metadata"))
    for at, what in ((rows, b"\x07\x10\x01\x00"), (rows + 32 * 6 + 4, b"\xff" * 4), (rows + 32 * 2 + 20, b"\xff" * 4)):
        broken = whole[:at] + what + whole[at + len(what):]
        expect_error(home, 65, ["enclave", "measure", write(path, broken)], "sdk.signed.so")


def help_fits(home):
    for words in ([], ["build"], ["sign"], ["inspect"]):
        text = home.verb("enclave", *words, "--help")
        expect(all(len(line) <= 80 for line in text.split("\n")), f"help of {words}: {text}")
    expect_error(home, 64, ["enclave"], "usage: ")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        sha256sum_prints_mrenclave_of_every_image,
        an_image_is_built_and_signed_with_a_key_of_ones_own,
        inspect_shows_pages_threads_and_how_it_was_built,
        hardening_is_in_the_code_in_the_image_and_on_the_screen,
        an_altered_image_or_signature_is_a_finding,
        keys_that_sgx_does_not_take_are_refused_and_write_nothing,
        what_is_no_image_is_named_and_refused,
        foreign_streams_are_measured_and_a_page_that_is_not_is_never_signed,
        enclaves_of_intels_sdk_are_measured,
        broken_metadata_of_the_sdk_is_refused,
        help_fits,
    ]))
