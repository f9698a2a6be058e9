#!/usr/bin/env python3
"""Checks the log without any code of the server, from the texts of RFC 6962, RFC 8032 and C2SP.

    check.py proof KEY RECORD PROOF            a record is in the log (c2sp.org/tlog-proof)
    check.py consistency KEY CHECKPOINT PROOF  the log only grew since a checkpoint that was kept
    check.py tiles KEY DIRECTORY               the tiles give the root of the checkpoint beside them
    check.py keys KEY KEYS                     print the keys that followed the one that is believed
    check.py bundle KEY BUNDLE                 every record of a bundle is in the log
    check.py tenant KEY BUNDLE                 and the last one says that the others are all of a tenant's

Needs nothing but Python. KEY is a verifier key, the others are files. Says what is wrong, and fails.
"""

import base64
import hashlib
import sys
from pathlib import Path
from typing import NamedTuple


def fail(reason: str) -> None:
    sys.exit(f"not proven: {reason}")


def unbase64(text: str) -> bytes:
    """Only the one way in which bytes are written: Python's own takes stray bits at the end."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        fail("this is not how base64 is written")
    return data


# --- Ed25519, RFC 8032 section 5.1 ------------------------------------------------------------------

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME
Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(p: Point, q: Point) -> Point:
    """The addition law of the curve in affine coordinates: slow, and as simple as it gets."""
    (x1, y1), (x2, y2) = p, q
    product = CURVE * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME) % PRIME
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME) % PRIME
    return x, y


def multiply(times: int, point: Point) -> Point:
    result = NEUTRAL
    while times:
        if times & 1:
            result = add(result, point)
        point = add(point, point)
        times >>= 1
    return result


def decode_point(data: bytes) -> Point | None:
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= PRIME:
        return None
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    if (x * x - square) % PRIME or (x == 0 and sign):
        return None
    return (PRIME - x if x & 1 != sign else x), y


BASE = decode_point((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))


def ed25519_verifies(key: bytes, text: bytes, signature: bytes) -> bool:
    if len(key) != 32 or len(signature) != 64 or BASE is None:
        return False
    public, commitment = decode_point(key), decode_point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if public is None or commitment is None or scalar >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + key + text).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    return multiply(scalar, BASE) == add(commitment, multiply(challenge, public))


# --- c2sp.org/signed-note and c2sp.org/tlog-checkpoint ----------------------------------------------


class Key(NamedTuple):
    name: str
    key_id: bytes
    public: bytes
    until: int | None = None


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


def read_key(text: str) -> Key:
    name, key_id, encoded = text.strip().split("+", 2)
    data = unbase64(encoded)
    if data[0] != 1 or len(data) != 33:
        fail("the key is not of Ed25519")
    expected = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if key_id != expected.hex():
        fail("the id is not that of the key")
    return Key(name, expected, data[1:])


def signers(note: str, keys: list[Key]) -> tuple[str, list[Key]]:
    """The text of a note, and those of the keys that signed it."""
    text, empty, signatures = note.rpartition("\n\n")
    if not empty or not signatures.endswith("\n"):
        fail("the note is not in its form")
    text += "\n"
    found = []
    for line in signatures[:-1].split("\n"):
        dash, name, encoded = line.split(" ")
        data = unbase64(encoded)
        for key in keys:
            if dash == "\u2014" and (key.name, key.key_id) == (name, data[:4]):
                if not ed25519_verifies(key.public, text.encode(), data[4:]):
                    fail("the signature is not of this text")
                found.append(key)
    return text, found


def open_checkpoint(note: str, keys: list[Key]) -> Checkpoint:
    text, found = signers(note, keys)
    origin, size, root = text.split("\n")[:3]
    if str(int(size)) != size:
        fail("the size is not written as a size")
    checkpoint = Checkpoint(origin, int(size), unbase64(root))
    good = [key for key in found if key.name == origin and (key.until is None or checkpoint.size <= key.until)]
    if not good:
        fail("no key that is believed has signed the checkpoint")
    return checkpoint


def followed(trusted: Key, text: str) -> list[Key]:
    """The keys that came after the one that is believed, from what the log says of its keys."""
    keys = [trusted]
    paragraphs = text.rstrip("\n").split("\n\n")[1:]
    for words, signatures in zip(paragraphs[::2], paragraphs[1::2], strict=True):
        title, size, _root, new = words.split("\n")
        if title != "muster-key-rotation@v1":
            fail("this is no change of keys")
        note, newest = f"{words}\n\n{signatures}\n", read_key(new)
        if keys[-1] not in signers(note, [keys[-1]])[1]:
            if len(keys) > 1:
                fail("a change of keys is not signed by the key before")
            continue  # Before the one that is believed.
        if newest not in signers(note, [newest])[1]:
            fail("a change of keys is not signed by the new key")
        keys[-1] = keys[-1]._replace(until=int(size))
        keys.append(newest)
    return keys


# --- RFC 6962 section 2.1, from the definitions -----------------------------------------------------


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def leaf_hash(record: bytes) -> bytes:
    return sha256(b"\0" + record)


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right)


def split(size: int) -> int:
    """The largest power of two smaller than the size."""
    return 1 << ((size - 1).bit_length() - 1)


def root_of(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    middle = split(len(leaves))
    return node(root_of(leaves[:middle]), root_of(leaves[middle:]))


def root_by_path(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root to which an audit path leads, from the definition of PATH read backwards."""
    if size == 1:
        if path:
            fail("the proof is too long")
        return leaf
    if not path:
        fail("the proof is too short")
    middle = split(size)
    if index < middle:
        return node(root_by_path(index, middle, leaf, path[:-1]), path[-1])
    return node(path[-1], root_by_path(index - middle, size - middle, leaf, path[:-1]))


def roots_by_proof(old: int, new: int, known: bytes | None, proof: list[bytes]) -> tuple[bytes, bytes]:
    """Both roots to which a consistency proof leads, from the definition of SUBPROOF read backwards.
    `known` is the root of the smaller tree as long as it is a subtree of the larger."""
    if old == new:
        if known is None and len(proof) == 1:
            return proof[0], proof[0]
        if known is None or proof:
            fail("the proof has another length")
        return known, known
    if not proof:
        fail("the proof is too short")
    middle = split(new)
    if old <= middle:
        old_root, new_root = roots_by_proof(old, middle, known, proof[:-1])
        return old_root, node(new_root, proof[-1])
    old_root, new_root = roots_by_proof(old - middle, new - middle, None, proof[:-1])
    return node(proof[-1], old_root), node(proof[-1], new_root)


# --- The texts --------------------------------------------------------------------------------------


def hashes(lines: list[str]) -> list[bytes]:
    return [unbase64(line) for line in lines]


def check_proof(keys: list[Key], record: bytes, text: str) -> Checkpoint:
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1":
        fail("this is no proof")
    lines = lines[2:] if lines[1].startswith("extra ") else lines[1:]
    word, index = lines[0].split(" ")
    checkpoint = open_checkpoint(note, keys)
    if word != "index" or not 0 <= int(index) < checkpoint.size:
        fail("there is no such index")
    if root_by_path(int(index), checkpoint.size, leaf_hash(record), hashes(lines[1:])) != checkpoint.root:
        fail("the proof leads to another root")
    return checkpoint


def check_consistency(keys: list[Key], kept: str, text: str) -> Checkpoint:
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    old, new = open_checkpoint(kept, keys), open_checkpoint(note, keys)
    if lines[0] != f"old {old.size}":
        fail("the proof begins at another size")
    if old.size == 0:
        return new
    roots = roots_by_proof(old.size, new.size, old.root, hashes(lines[1:]))
    if roots != (old.root, new.root):
        fail("the proof leads to other roots")
    return new


def check_tiles(keys: list[Key], directory: Path) -> Checkpoint:
    checkpoint = open_checkpoint((directory / "checkpoint").read_text(), keys)
    leaves: list[bytes] = []
    level, count = 0, checkpoint.size
    below: list[bytes] = []
    while count:
        row: list[bytes] = []
        for index in range((count + 255) // 256):
            width = min(256, count - 256 * index)
            digits = f"{index:03}" if index < 1000 else f"x{index // 1000:03}/{index % 1000:03}"
            path = directory / "tile" / str(level) / digits
            full = path.read_bytes() if path.exists() else Path(f"{path}.p/{width}").read_bytes()
            if len(full) < 32 * width:
                fail(f"{path} is too short")
            row += [full[32 * n : 32 * n + 32] for n in range(width)]
        if level == 0:
            leaves = row
        elif row != [root_of(below[256 * n : 256 * n + 256]) for n in range(count)]:
            fail(f"the tiles of level {level} are not of those below")
        below, level, count = row, level + 1, count // 256
    if root_of(leaves) != checkpoint.root:
        fail("the tiles have another root than the checkpoint")
    return checkpoint


def check_bundle(keys: list[Key], text: str, of_tenant: bool = False) -> Checkpoint:
    paragraphs = text.split("\n\n")
    if paragraphs[0].split("\n")[0] != "muster-bundle@v1":
        fail("this is no bundle")
    checkpoint = open_checkpoint("\n\n".join(paragraphs[1:3]) + "\n", keys)
    last, records = 0, []
    for paragraph in paragraphs[3:-1]:
        title, record, *path = paragraph.split("\n")
        position = int(title.removeprefix("record "))
        if not last < position <= checkpoint.size:
            fail("the records are not in order")
        records.append(unbase64(record))
        last, leaf = position, leaf_hash(records[-1])
        if root_by_path(position - 1, checkpoint.size, leaf, hashes(path)) != checkpoint.root:
            fail(f"record {position} is not in the log")
    if paragraphs[-1] != f"end {len(paragraphs) - 4}\n":
        fail("the bundle has another number of records")
    if of_tenant:
        # The last record holds the root of the others as text, and how many they are before that.
        root = root_of([leaf_hash(record) for record in records[:-1]]).hex().encode()
        if b"tenant.history_recorded" not in records[-1] or root not in records[-1]:
            fail("the log says that the tenant's history has another root")
    return checkpoint


def main() -> None:
    command, key, *files = sys.argv[1:]
    trusted, paths = [read_key(key)], [Path(file) for file in files]
    if command == "keys":
        print(*(it.key_id.hex() for it in followed(trusted[0], paths[0].read_text())))
        return
    match command:
        case "proof":
            checkpoint = check_proof(trusted, paths[0].read_bytes(), paths[1].read_text())
        case "consistency":
            checkpoint = check_consistency(trusted, paths[0].read_text(), paths[1].read_text())
        case "tiles":
            checkpoint = check_tiles(trusted, paths[0])
        case "bundle" | "tenant":
            checkpoint = check_bundle(trusted, paths[0].read_text(), command == "tenant")
        case _:
            sys.exit(__doc__)
    print(f"proven: {checkpoint.origin} has {checkpoint.size} records, root {checkpoint.root.hex()}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, IndexError, OSError) as error:
        fail(str(error))
