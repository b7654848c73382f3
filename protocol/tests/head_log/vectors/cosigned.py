"""Writes cosigned.note and cosigned.vkeys with implementations that share no code with Overt:
`dilithium-py` signs, `cryptography` (OpenSSL or AWS-LC below it) signs Ed25519 and checks ML-DSA.

    pip install dilithium-py cryptography && python3 cosigned.py
"""

import base64
import hashlib
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa
from dilithium_py.ml_dsa import ML_DSA_44

ORIGIN, SIZE, ROOT = "keys.example.org/overt", 20852163, hashlib.sha256(b"a root").digest()
TEXT = f"{ORIGIN}\n{SIZE}\n{base64.b64encode(ROOT).decode()}\n"
TIME = 1679315147
# Name, signature type, byte that fills the seed.
KEYS = [
    (ORIGIN, 0x01, 1),
    (ORIGIN, 0x06, 2),
    ("witness.example.com/w1", 0x04, 3),
    ("witness.example.com/w1", 0x06, 4),
]


def opaque(text):
    return bytes([len(text)]) + text.encode()


def sign(name, kind, fill):
    """The public key and the content of a signature line after the key ID."""
    seed = bytes([fill]) * 32
    if kind == 0x06:
        time = 0 if name == ORIGIN else TIME
        message = b"subtree/v1\n\0" + opaque(name) + struct.pack(">Q", time) + opaque(ORIGIN)
        message += struct.pack(">QQ", 0, SIZE) + ROOT
        public, secret = ML_DSA_44.key_derive(seed)
        signature = ML_DSA_44.sign(secret, message, deterministic=True)
        mldsa.MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
        return public, struct.pack(">Q", time) + signature
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    if kind == 0x04:
        message = f"cosignature/v1\ntime {TIME}\n{TEXT}".encode()
        return public, struct.pack(">Q", TIME) + key.sign(message)
    return public, key.sign(TEXT.encode())


note, vkeys = TEXT + "\n", ""
for name, kind, fill in KEYS:
    public, signature = sign(name, kind, fill)
    key_id = hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]
    note += f"\u2014 {name} {base64.b64encode(key_id + signature).decode()}\n"
    vkeys += f"{name}+{key_id.hex()}+{base64.b64encode(bytes([kind]) + public).decode()}\n"
here = pathlib.Path(__file__).parent
(here / "cosigned.note").write_text(note)
(here / "cosigned.vkeys").write_text(vkeys)
