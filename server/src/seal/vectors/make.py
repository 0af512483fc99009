#!/usr/bin/env python3
"""Makes v1.json: a second implementation of the envelope, so that the vectors do not merely repeat the first one.

Needs the package `cryptography`. XChaCha20-Poly1305 is HChaCha20 (draft-irtf-cfrg-xchacha-03, section 2.2) in front of
its ChaCha20-Poly1305.
"""

import hashlib
import json
import pathlib
import struct

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def hchacha20(key, nonce):
    words = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            words[x] = (words[x] + words[y]) & 0xFFFFFFFF
            mixed = words[z] ^ words[x]
            words[z] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for diagonal in range(4):
            quarter(diagonal, (diagonal + 1) % 4 + 4, (diagonal + 2) % 4 + 8, (diagonal + 3) % 4 + 12)
    return struct.pack("<8I", *(words[0:4] + words[12:16]))


def encrypt(key, nonce, bound, text):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], text, bound)


# draft-irtf-cfrg-xchacha-03, A.3.1: the first and last bytes.
sample = encrypt(
    bytes(range(0x80, 0xA0)),
    bytes(range(0x40, 0x58)),
    bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
)
assert sample[:8].hex() == "bd6d179d3e83d43b" and sample[-16:].hex() == "c0875924c1c7987947deafd8780acf49"


def join(*parts):
    return b"".join(struct.pack(">Q", len(part)) + part for part in parts)


def random(label, length):
    return hashlib.shake_256(b"gitward vectors: " + label.encode()).digest(length)


ROOT = random("root key", 32)
FIELDS = ["table", "column", "row", "owner", "provider", "origin", "kind"]
PLACE = {
    "table": "credentials",
    "column": "sealed",
    "row": "Q3JlZGVudGlhbCBudW1iZXI",
    "owner": "VXNlciBudW1iZXIgb25lIQ",
    "provider": "github",
    "origin": "https://github.com:443",
    "kind": "oauth2/user",
    "generation": 7,
}
TEXT = b'{"v":1,"access":"ghu_example","refresh":"ghr_example"}'


def data_key(purpose, label, created_at):
    id, key, nonce = random(label + " id", 16), random(label, 32), random(label + " nonce", 24)
    header = b"\x01\x01" + nonce
    wrapped = header + encrypt(ROOT, nonce, join(b"gitward data key", header, id, purpose.encode()), key)
    check = hashlib.sha256(join(b"gitward root key check", ROOT, id, purpose.encode())).digest()
    row = {"id": id.hex(), "purpose": purpose, "wrapped": wrapped.hex(), "check": check.hex(), "created_at": created_at}
    return id, key, row


def seal(id, key, place, text, label):
    header = b"\x01\x01" + id + random(label + " envelope", 24)
    fields = [place[field].encode() for field in FIELDS] + [struct.pack(">q", place["generation"])]
    return header + encrypt(key, header[18:], join(b"gitward envelope", header, *fields), text)


old_id, old_key, old = data_key("credentials", "old", 1)
new_id, new_key, new = data_key("credentials", "new", 2)
login_id, login_key, login = data_key("logins", "login", 1)
lost_id, lost_key, _ = data_key("credentials", "lost", 3)

cases = []


def case(name, envelope, answer, place=PLACE, purpose="credentials", text=None):
    opened = {"plaintext": text.hex()} if text is not None else {}
    cases.append(
        {"name": name, "purpose": purpose, "place": place, "envelope": envelope.hex(), "answer": answer} | opened
    )


def but(**changed):
    return PLACE | changed


good = seal(new_id, new_key, PLACE, TEXT, "good")
case("the newest key", good, "opens", text=TEXT)
case("an older key", seal(old_id, old_key, PLACE, TEXT, "older"), "opens", text=TEXT)
case("nothing inside", seal(new_id, new_key, PLACE, b"", "nothing"), "opens", text=b"")
case("one byte", seal(new_id, new_key, PLACE, b"\x00", "one"), "opens", text=b"\x00")
for length in (63, 64, 65, 128, 1000):
    text = random(f"text {length}", length)
    case(f"{length} bytes", seal(new_id, new_key, PLACE, text, f"{length}"), "opens", text=text)
wide = but(row="ряд", owner="", origin="", kind="κλειδί", generation=-(2**63))
case("other scripts, empty fields, the least generation", seal(new_id, new_key, wide, TEXT, "wide"), "opens", wide, text=TEXT)
last = but(generation=2**63 - 1)
case("the last generation", seal(new_id, new_key, last, TEXT, "last"), "opens", last, text=TEXT)
case("a login", seal(login_id, login_key, PLACE, TEXT, "login"), "opens", purpose="logins", text=TEXT)

for length in [*range(0, 58, 3), 57]:
    case(f"cut to {length} bytes", good[:length], "malformed")
for length in [*range(58, len(good), 6), len(good) - 1]:
    case(f"cut to {length} bytes", good[:length], "forged")
for extra in (b"\x00", b"\xff", good):
    case(f"{len(extra)} bytes behind it", good + extra, "forged")
case("one byte in front of it", b"\x01" + good, "unknown key")
for at in range(len(good)):
    flipped = bytearray(good)
    flipped[at] ^= 1 << (at % 8)
    answer = "malformed" if at < 2 else "unknown key" if at < 18 else "forged"
    case(f"bit {at % 8} of byte {at} flipped", bytes(flipped), answer)
for at, value in ((0, 0), (0, 2), (1, 0), (1, 2), (1, 255)):
    changed = bytearray(good)
    changed[at] = value
    case(f"byte {at} is {value}", bytes(changed), "malformed")
for field in FIELDS:
    case(f"another {field}", good, "forged", but(**{field: PLACE[field] + "x"}))
    case(f"{field} in capitals", good, "forged", but(**{field: PLACE[field].upper()}))
    case(f"an empty {field}", good, "forged", but(**{field: ""}))
for first, second in zip(FIELDS, FIELDS[1:]):
    moved = but(**{first: PLACE[first] + PLACE[second][0], second: PLACE[second][1:]})
    case(f"a letter moved from {second} to {first}", good, "forged", moved)
    swapped = but(**{first: PLACE[second], second: PLACE[first]})
    case(f"{first} and {second} exchanged", good, "forged", swapped)
for generation in (6, 8, 0, -7, 7 * 2**56):
    case(f"generation {generation}", good, "forged", but(generation=generation))
case("for another purpose", good, "unknown key", purpose="logins")
case("a login's key, for credentials", seal(login_id, login_key, PLACE, TEXT, "login"), "unknown key")
case("a key that is not there", seal(lost_id, lost_key, PLACE, TEXT, "lost"), "unknown key")
case("the old key under the new key's id", seal(new_id, old_key, PLACE, TEXT, "exchanged"), "forged")
case("sealed by the root key", seal(new_id, ROOT, PLACE, TEXT, "root"), "forged")
case("a wrapped key", bytes.fromhex(new["wrapped"]), "unknown key")
case("zeros", bytes(100), "malformed")
case("not sealed at all", TEXT, "malformed")

def lines(rows):
    return ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


path = pathlib.Path(__file__).with_name("v1.json")
path.write_text(
    f'{{"root_key": "{ROOT.hex()}",\n"data_keys": [\n{lines([old, new, login])}\n],\n"envelopes": [\n{lines(cases)}\n]}}\n'
)
print(len(cases), "envelopes,", sum(case["answer"] != "opens" for case in cases), "of them refused")
