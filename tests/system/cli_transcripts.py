#!/usr/bin/python3
"""What the verbs key, run, version and doctor say, and how they end: `cli_transcripts.py CAISSON`."""
import json
import os
import resource
import shutil
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import expect, run_tests, z85_bytes  # noqa: E402

VERIFIER = "ab" * 32
SECRET = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"  # of ZeroMQ's own documentation
PUBLIC = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"


def expect_guard(text):
    """Platform and root are on every screen that shows keys; a debug enclave would be named too."""
    expect("platform process (a locked-down process that emulates SGX)" in text, text)
    expect("root file (development root, no hardware trust)" in text and "DEBUG" not in text, text)


def expect_error(home, status, words, *said, stdin=""):
    """One line on stderr, nothing on stdout, that exit status."""
    got, out, err = home.run(*words, stdin=stdin)
    line = f"caisson {' '.join(words)}: status {got}, printed {out!r}, said {err!r}"
    expect(got == status, f"expected status {status}: {line}")
    expect(out == "" and err.count("\n") == 1 and err.startswith("caisson: "), f"expected one line: {line}")
    for part in said:
        expect(part in err, f"expected {part!r}: {line}")


def keys_in(home):
    folder = os.path.join(home.folder, "keys")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def a_key_is_made_shown_listed_and_removed(home):
    made = home.facts("key", "new", "alice", "--ungated")
    expect(set(made) == {"name", "public_key", "handle", "gated", "verifier_key", "list_key", "platform", "root", "debug"},
           f"facts: {made}")
    expect(made["gated"] is False and made["verifier_key"] is None, f"gate: {made}")
    expect(len(z85_bytes(made["public_key"])) == 32 and made["handle"] != made["public_key"], f"keys: {made}")
    expect(home.facts("key", "show", "alice") == made, "show differs")
    expect(home.facts("key", "list") == [made], "list differs")
    expect(home.verb("key", "show", "alice", "--public") == made["public_key"] + "\n", "--public")
    expect(home.verb("key", "show", "alice", "--handle") == made["handle"] + "\n", "--handle")
    expect("alice" in home.verb("key", "list") and made["public_key"] in home.verb("key", "list"), "list for people")
    for words in (("key", "list"), ("key", "show", "alice")):
        expect_guard(home.verb(*words))
    expect((made["platform"], made["root"], made["debug"]) == ("process", "file", False), f"{made}")
    status, _, err = home.run("run", "--", "/bin/true")
    expect(status == 0, f"{status} {err}")
    expect_guard(err)
    mode = stat.S_IMODE(os.stat(os.path.join(home.folder, "keys/alice.json")).st_mode)
    expect(mode == 0o600, f"mode {mode:o}")
    home.verb("key", "remove", "alice")
    expect(home.facts("key", "list") == [], "still there")
    expect_error(home, 66, ["key", "show", "alice"], "key alice: no such key", "caisson key list")
    expect_error(home, 66, ["key", "remove", "alice"], "no such key")


def a_new_key_is_printed_as_curve_keygen_does(home):
    out = home.verb("key", "new", "alice", "--ungated", "--format", "curve_keygen")
    lines = out.split("\n")
    public = lines[lines.index("== CURVE PUBLIC KEY ==") + 1]
    secret = lines[lines.index("== CURVE SECRET KEY ==") + 1]
    shown = home.facts("key", "show", "alice")
    expect((public, secret) == (shown["public_key"], shown["handle"]), f"printed {out!r}, is {shown}")
    for words in (["--format", "pem"], ["--format", "curve_keygen", "--json"]):
        expect_error(home, 64, ["key", "new", "bob", "--ungated", *words], "--format")
    expect(keys_in(home) == ["alice.json"], f"something was written: {keys_in(home)}")


def a_name_is_given_once_and_must_be_a_name(home):
    home.verb("key", "new", "alice", "--ungated")
    expect_error(home, 73, ["key", "new", "alice", "--ungated"], "there is a key of that name")
    for name in ("../x", "Alice", ".x", "a" * 65, "a/b", ""):
        expect_error(home, 65, ["key", "new", "--ungated", name], "not a name", "at most 64")
    expect(keys_in(home) == ["alice.json"], f"something was written: {keys_in(home)}")


def the_gate_is_chosen_or_said_to_be_missing(home):
    status, _, err = home.run("key", "new", "open")
    expect(status == 0 and "is ungated" in err and "caisson agent join" in err, f"no warning: {err}")
    gated = home.facts("key", "new", "gated", "--verifier", VERIFIER)
    expect(gated["gated"] and gated["verifier_key"] == VERIFIER, f"gate: {gated}")
    path = os.path.join(home.folder, "verifier")
    with open(path, "w") as file:
        file.write(VERIFIER + "\n")
    expect(home.facts("key", "new", "gated2", "--verifier", path)["verifier_key"] == VERIFIER, "from a file")
    expect_error(home, 65, ["key", "new", "x", "--verifier", "zz" * 32], "--verifier", "64 hexadecimal digits")
    expect_error(home, 66, ["key", "new", "x", "--verifier", "/nonexistent"], "/nonexistent")
    expect_error(home, 64, ["key", "new", "x", "--verifier", VERIFIER, "--ungated"], "exclude each other")
    os.mkdir(os.path.join(home.folder, "agent"))
    with open(os.path.join(home.folder, "agent/join.json"), "w") as file:
        json.dump({"server_signing_key": VERIFIER}, file)
    joined = home.facts("key", "new", "joined")
    expect(joined["gated"] and joined["verifier_key"] == VERIFIER, f"gate of a joined node: {joined}")
    with open(os.path.join(home.folder, "agent/join.json"), "w") as file:
        file.write("{\"server_signing_key\": 7}")
    expect_error(home, 65, ["key", "new", "x"], "join.json", "server_signing_key")


def a_sealed_key_moves_between_names_and_homes_of_one_root_only(home):
    made = home.facts("key", "new", "alice", "--verifier", VERIFIER)
    exported = os.path.join(home.folder, "alice.sealed")
    with open(exported, "w") as file:
        file.write(home.verb("key", "export", "alice"))
    os.chmod(exported, 0o600)
    taken = home.facts("key", "import", "copy", "--sealed", exported)
    expect({**taken, "name": "alice"} == made, f"{taken} is not {made}")
    other = os.path.join(home.folder, "other")
    status, _, err = home.run("key", "import", "copy", "--sealed", exported, home=other)
    expect(status == 65 and "caisson: " in err, f"another root opened it: {status} {err}")
    expect_error(home, 66, ["key", "import", "x", "--sealed", "/nonexistent"], "/nonexistent")
    expect_error(home, 73, ["key", "import", "copy", "--sealed", exported], "there is a key of that name")
    with open(exported, "w") as file:
        file.write("{}")
    expect_error(home, 65, ["key", "import", "x", "--sealed", exported], exported, "version")


def a_secret_comes_in_by_standard_input_alone(home):
    status, out, err = home.run("key", "import", "known", "--raw-z85", "-", "--ungated", "--json", stdin=SECRET + "\n")
    expect(status == 0 and json.loads(out)["public_key"] == PUBLIC, f"public key: {status} {out} {err}")
    expect("copies of its secret may remain" in err, f"no warning: {err}")
    for wrong in ("", SECRET[:-1], SECRET + "x", SECRET + "\n\n", "~" * 40, "#" * 40):
        expect_error(home, 65, ["key", "import", "x", "--ungated", "--raw-z85", "-"], "40 letters of Z85", stdin=wrong)
    expect_error(home, 64, ["key", "import", "x", "--raw-z85", SECRET], "standard input")
    expect_error(home, 64, ["key", "import", "x"], "--sealed FILE")
    for root, _, files in os.walk(home.folder):
        for name in files:
            with open(os.path.join(root, name), "rb") as file:
                content = file.read()
            raw = z85_bytes(SECRET)
            expect(not any(form in content for form in (SECRET.encode(), raw, raw.hex().encode())), f"{name} holds it")


def a_broken_key_file_is_named_and_the_others_are_listed(home):
    home.verb("key", "new", "alice", "--ungated")
    with open(os.path.join(home.folder, "keys/broken.json"), "w") as file:
        file.write("{\"version\": 1, \x1b[2J")
    os.chmod(os.path.join(home.folder, "keys/broken.json"), 0o600)
    status, out, err = home.run("key", "list", "--json")
    expect(status == 65 and [key["name"] for key in json.loads(out)] == ["alice"], f"{status} {out}")
    expect("broken.json" in err and "\x1b" not in err, f"{err!r}")


def usage_errors_name_the_cause_and_where_help_is(home):
    for words, said in ((["key"], "a command is missing"), (["frobnicate"], "frobnicate"), ([], "a command is missing"),
                        (["key", "new"], "NAME"), (["key", "new", "a", "--colour"], "--colour"),
                        (["run"], "--"), (["run", "/bin/true"], "/bin/true"), (["key", "list", "x"], "x")):
        expect_error(home, 64, words, "usage: ", said, "--help")


def help_is_for_newcomers_and_fits_80_columns(home):
    for words in ([], ["key"], ["key", "new"], ["key", "show"], ["key", "import"], ["key", "export"], ["key", "list"],
                  ["key", "remove"], ["run"], ["version"], ["doctor"], ["bench"], ["bench", "paper"]):
        text = home.verb(*words, "--help")
        expect("Usage: caisson" in text and "--json" in text, f"help of {words}: {text}")
        for line in text.split("\n"):
            expect(len(line) <= 80, f"help of {words}: a line of {len(line)}: {line}")


def version_says_what_runs_and_that_the_root_is_for_development(home):
    text = home.verb("version")
    expect("development root, no hardware trust" in text and "MRENCLAVE" in text, text)
    facts = home.facts("version")
    expect(facts["root"] == "file" and facts["hardware_trust"] is False and facts["platform"] == "process", f"{facts}")
    expect([image["name"] for image in facts["images"]] == ["curve", "witness"], f"{facts}")
    expect(not any(image["debug"] for image in facts["images"]), f"{facts}")
    expect(all(len(image["mrenclave"]) == 64 and image["signature_names_image"] for image in facts["images"]), f"{facts}")
    expect(home.verb("--version").startswith("caisson "), "--version")
    home.environment["CAISSON_IMAGES"] = "/nonexistent"
    expect_error(home, 66, ["version"], "/nonexistent", "CAISSON_IMAGES")


def version_says_how_each_image_was_hardened(home):  # [IMAGE-5]
    doctor = {chamber["name"]: chamber["hardening"] for chamber in home.facts("doctor")["chambers"]}
    said = {image["name"]: image["hardening"] for image in home.facts("version")["images"]}
    expect(said == doctor and len(said) == 2, f"{said} is not {doctor}")
    built = home.environment.get("CAISSON_IMAGES") or os.path.dirname(os.path.realpath(home.caisson))
    images = os.path.join(home.folder, "images")
    os.makedirs(images, exist_ok=True)
    for name in ("curve.sgxs", "curve.sig", "witness.sgxs", "witness.sig", "caisson-loader"):
        shutil.copy(os.path.join(built, name), images)
    with open(os.path.join(images, "curve.sgxs"), "r+b") as file:
        note = file.read(4096).index(b"caisson chamber\0")
        file.seek(note + 20)  # after the magic and the version
        file.write((3).to_bytes(4, "little"))
    home.environment["CAISSON_IMAGES"] = images
    text = home.verb("version")
    expect("\n  hardening LFENCE after loads, VERW on the way out\n" in text, text)
    curve = home.facts("version")["images"][0]
    expect(curve["hardening"] == {"lfence": True, "verw": True} and not curve["signature_names_image"], f"{curve}")


def doctor_says_what_this_machine_can_prove(home):
    text = home.verb("doctor")
    expect("development root, no hardware trust" in text, text)
    facts = home.facts("doctor")
    expect(facts["root"] == "file" and facts["rollback_counters"] is False, f"{facts}")
    expect(all(chamber["platform"] == "process" and chamber["debug"] is False for chamber in facts["chambers"]), f"{facts}")


LOCKED_UID = 4242  # nobody's: without CAP_IPC_LOCK, so that RLIMIT_MEMLOCK counts


def with_locked_memory(home, kib, *words):
    """What caisson says to a user who may lock that much: (exit status, stdout, stderr). Its files lie where he can read
    them, which a build folder need not be."""
    stage, build = os.path.join(home.folder, "stage"), os.path.dirname(home.caisson)
    if not os.path.exists(stage):
        os.makedirs(os.path.join(stage, "home"))
        for name in ("caisson", "caisson-loader", *[f"{chamber}.{end}" for chamber in ("curve", "witness")
                                                    for end in ("sgxs", "sig")]):
            shutil.copy(os.path.join(build, name), stage)
        for folder, mode in ((home.folder, 0o755), (stage, 0o755), (os.path.join(stage, "home"), 0o700)):
            os.chmod(folder, mode)
        if os.geteuid() == 0:
            os.chown(os.path.join(stage, "home"), LOCKED_UID, LOCKED_UID)
    user = {"user": LOCKED_UID, "group": LOCKED_UID, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run([os.path.join(stage, "caisson"), "--home", os.path.join(stage, "home"), *words], text=True,
                          capture_output=True, timeout=60, cwd="/", stdin=subprocess.DEVNULL, **user,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (kib << 10, kib << 10)))
    return done.returncode, done.stdout, done.stderr


def too_little_locked_memory_is_told_with_limit_and_remedy(home):
    status, out, _ = with_locked_memory(home, 64, "doctor")
    expect(status == 69 and out.count("DOES NOT START") == 2, f"{status} {out}")
    expect("locked memory: 64 KiB" in out and "TOO LITTLE" in out and "8192 KiB" in out, out)
    status, out, err = with_locked_memory(home, 64, "key", "new", "x", "--ungated")
    expect(status != 0 and "RLIMIT_MEMLOCK" in err and "raise it to 8 MiB" in err, f"{status} {out} {err}")
    status, out, _ = with_locked_memory(home, 64, "doctor", "--json")
    facts = json.loads(out)
    expect(status == 69 and facts["locked_memory"] == {"limit_bytes": 64 << 10, "wanted_bytes": 8 << 20, "enough": False},
           f"{status} {out}")
    expect(not any(chamber["starts"] for chamber in facts["chambers"]), f"{facts}")


def a_chamber_with_less_locked_memory_than_it_wants_starts_smaller_and_says_so(home):
    status, out, err = with_locked_memory(home, 5 << 10, "doctor")
    expect(status == 0 and out.count("  NO   memory for the whole arena") == 2, f"{status} {out} {err}")
    expect("locked memory: 5120 KiB" in out and "TOO LITTLE" in out, out)
    status, out, err = with_locked_memory(home, 5 << 10, "key", "new", "x", "--ungated")
    expect(status == 0, f"{status} {out} {err}")


def a_home_that_cannot_be_made_is_said(home):
    path = os.path.join(home.folder, "file")
    with open(path, "w"):
        pass
    status, out, err = home.run("key", "new", "x", "--ungated", home=path)
    expect(status in (65, 66, 73, 77) and out == "" and path in err and err.count("\n") == 1, f"{status} {out} {err}")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        a_key_is_made_shown_listed_and_removed,
        a_new_key_is_printed_as_curve_keygen_does,
        a_name_is_given_once_and_must_be_a_name,
        the_gate_is_chosen_or_said_to_be_missing,
        a_sealed_key_moves_between_names_and_homes_of_one_root_only,
        a_secret_comes_in_by_standard_input_alone,
        a_broken_key_file_is_named_and_the_others_are_listed,
        usage_errors_name_the_cause_and_where_help_is,
        help_is_for_newcomers_and_fits_80_columns,
        version_says_what_runs_and_that_the_root_is_for_development,
        version_says_how_each_image_was_hardened,
        doctor_says_what_this_machine_can_prove,
        too_little_locked_memory_is_told_with_limit_and_remedy,
        a_chamber_with_less_locked_memory_than_it_wants_starts_smaller_and_says_so,
        a_home_that_cannot_be_made_is_said,
    ]))
