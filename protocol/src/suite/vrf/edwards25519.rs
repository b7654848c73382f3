//! ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381, section 5.5), its output cut to 32 bytes.
//!
//! Names follow the RFC: `B` the base point, `Y = x*B` the public key, `H` the input hashed
//! to the curve, `Gamma = x*H`, and `(c, s)` a proof that both multiplications used one `x`.

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::clamp_integer;
use curve25519_dalek::traits::{Identity, IsIdentity, VartimeMultiscalarMul};
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest, Sha512};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{CHALLENGE_LEN, KeyError, NH, VrfError, domain};

/// Bytes of an encoded point: `ptLen`.
const POINT_LEN: usize = 32;
/// Bytes of a proof: `Gamma || c || s`.
pub(crate) const PROOF_LEN: usize = 80;
/// `suite_string` of the RFC.
const SUITE: u8 = 0x03;

#[derive(Clone, ZeroizeOnDrop)]
pub(super) struct SecretKey {
    x: Scalar,
    /// The second half of the hashed seed, from which nonces are derived.
    nonce_key: [u8; 32],
    #[zeroize(skip)]
    public: [u8; POINT_LEN],
}

#[allow(
    clippy::arithmetic_side_effects,
    reason = "operators on scalars and points are group operations: they neither overflow nor panic"
)]
impl SecretKey {
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        let expanded = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
        let mut scalar = Zeroizing::new([0; 32]);
        let mut nonce_key = [0; 32];
        let (low, high) = expanded.split_at(32);
        scalar.copy_from_slice(low);
        nonce_key.copy_from_slice(high);
        // H and B lie in the prime-order subgroup, so reducing x changes no product.
        let x = Scalar::from_bytes_mod_order(clamp_integer(*scalar));
        Self {
            public: EdwardsPoint::mul_base(&x).compress().to_bytes(),
            x,
            nonce_key,
        }
    }

    pub(super) fn public_key(&self) -> &[u8; POINT_LEN] {
        &self.public
    }

    pub(super) fn output(&self, alpha: &[u8]) -> [u8; NH] {
        proof_to_hash(&self.cofactor_gamma(alpha).compress())
    }

    pub(super) fn outputs(&self, alphas: &[&[u8]]) -> Vec<[u8; NH]> {
        let points: Vec<_> = alphas
            .iter()
            .map(|alpha| self.cofactor_gamma(alpha))
            .collect();
        EdwardsPoint::compress_batch_alloc(&points)
            .iter()
            .map(proof_to_hash)
            .collect()
    }

    pub(super) fn prove(&self, alpha: &[u8]) -> ([u8; NH], Vec<u8>) {
        let h = encode_to_curve(&self.public, alpha);
        let h_string = h.compress();
        let gamma = self.x * h;
        let k = self.nonce(&h_string);
        let [gamma_string, u, v, cofactor_gamma] = EdwardsPoint::compress_batch(&[
            gamma,
            EdwardsPoint::mul_base(&k),
            *k * h,
            gamma.mul_by_cofactor(),
        ]);
        let c = challenge(&self.public, [&h_string, &gamma_string, &u, &v]);
        let s = *k + challenge_scalar(&c) * self.x;

        let mut proof = Vec::with_capacity(PROOF_LEN);
        proof.extend_from_slice(gamma_string.as_bytes());
        proof.extend_from_slice(&c);
        proof.extend_from_slice(s.as_bytes());
        (proof_to_hash(&cofactor_gamma), proof)
    }

    /// `8 * Gamma`, all that the output depends on.
    fn cofactor_gamma(&self, alpha: &[u8]) -> EdwardsPoint {
        (self.x * encode_to_curve(&self.public, alpha)).mul_by_cofactor()
    }

    /// The nonce of RFC 9381, section 5.4.2.2, which is that of RFC 8032 signatures.
    fn nonce(&self, h_string: &CompressedEdwardsY) -> Zeroizing<Scalar> {
        let hash = Sha512::new()
            .chain_update(self.nonce_key)
            .chain_update(h_string.as_bytes());
        let wide = Zeroizing::new(<[u8; 64]>::from(hash.finalize()));
        Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
    }
}

/// A validated public key, with its negation at hand for verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    encoded: [u8; POINT_LEN],
    negated: EdwardsPoint,
}

#[allow(
    clippy::arithmetic_side_effects,
    reason = "operators on scalars and points are group operations: they neither overflow nor panic"
)]
impl PublicKey {
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let encoded: [u8; POINT_LEN] = bytes.try_into().map_err(|_| KeyError::Length {
            expected: POINT_LEN,
            actual: bytes.len(),
        })?;
        let point = decode_point(&encoded).ok_or(KeyError::PointEncoding)?;
        if point.is_small_order() {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self {
            encoded,
            negated: -point,
        })
    }

    pub(super) fn verify(&self, alpha: &[u8], proof: &[u8]) -> Result<[u8; NH], VrfError> {
        let Proof {
            gamma_string,
            gamma,
            c,
            s,
        } = Proof::decode(proof)?;
        let h = encode_to_curve(&self.encoded, alpha);
        // Y and Gamma may carry a component of small order, on which c acts as the integer
        // it is and not modulo the group order: the points are negated, never c.
        let c_scalar = challenge_scalar(&c);
        let u = EdwardsPoint::vartime_double_scalar_mul_basepoint(&c_scalar, &self.negated, &s);
        let v = EdwardsPoint::vartime_multiscalar_mul([s, c_scalar], [h, -gamma]);
        let [h_string, u, v, cofactor_gamma] =
            EdwardsPoint::compress_batch(&[h, u, v, gamma.mul_by_cofactor()]);
        if challenge(&self.encoded, [&h_string, &gamma_string, &u, &v]) != c {
            return Err(VrfError::Rejected);
        }
        Ok(proof_to_hash(&cofactor_gamma))
    }
}

/// A decoded proof (RFC 9381, section 5.4.4).
struct Proof {
    gamma_string: CompressedEdwardsY,
    gamma: EdwardsPoint,
    c: [u8; CHALLENGE_LEN],
    s: Scalar,
}

impl Proof {
    fn decode(proof: &[u8]) -> Result<Self, VrfError> {
        let length = VrfError::Length {
            expected: PROOF_LEN,
            actual: proof.len(),
        };
        let (gamma, rest) = proof.split_first_chunk::<POINT_LEN>().ok_or(length)?;
        let (c, s) = rest.split_first_chunk::<CHALLENGE_LEN>().ok_or(length)?;
        let s: [u8; 32] = s.try_into().map_err(|_| length)?;
        Ok(Self {
            gamma_string: CompressedEdwardsY(*gamma),
            gamma: decode_point(gamma).ok_or(VrfError::PointEncoding)?,
            c: *c,
            s: Option::from(Scalar::from_canonical_bytes(s)).ok_or(VrfError::ScalarRange)?,
        })
    }
}

/// `string_to_point`, the decoding of RFC 8032, section 5.1.3.
///
/// curve25519-dalek reduces a y of `p` or more and ignores the sign of a zero x; the RFC
/// refuses both, so that each point has one encoding.
pub(crate) fn decode_point(bytes: &[u8; POINT_LEN]) -> Option<EdwardsPoint> {
    let [low, middle @ .., high] = bytes;
    let (y_high, sign) = (high & 0x7f, high >> 7);
    let middle_is = |value: u8| middle.iter().all(|byte| *byte == value);
    // p is 2^255 - 19: in little endian 0xed, thirty times 0xff, 0x7f.
    let p_or_more = *low >= 0xed && middle_is(0xff) && y_high == 0x7f;
    // x is zero where y is 1 or p - 1.
    let x_is_zero = (*low == 0x01 && middle_is(0x00) && y_high == 0x00)
        || (*low == 0xec && middle_is(0xff) && y_high == 0x7f);
    if p_or_more || (x_is_zero && sign == 1) {
        return None;
    }
    CompressedEdwardsY(*bytes).decompress()
}

/// `ECVRF_encode_to_curve_try_and_increment` (RFC 9381, section 5.4.1.1).
fn encode_to_curve(public: &[u8; POINT_LEN], alpha: &[u8]) -> EdwardsPoint {
    let prefix = Sha512::new()
        .chain_update([SUITE, domain::ENCODE_TO_CURVE])
        .chain_update(public)
        .chain_update(alpha);
    (0..=u8::MAX)
        .find_map(|counter| {
            let hash: [u8; 64] = prefix
                .clone()
                .chain_update([counter, domain::BACK])
                .finalize()
                .into();
            let point = decode_point(hash.first_chunk()?)?.mul_by_cofactor();
            (!point.is_identity()).then_some(point)
        })
        // All 256 tries miss with probability 2^-256, as often as a guessed key is right.
        .unwrap_or_else(EdwardsPoint::identity)
}

/// `ECVRF_challenge_generation` (RFC 9381, section 5.4.3) over `Y, H, Gamma, U, V`.
fn challenge(public: &[u8; POINT_LEN], points: [&CompressedEdwardsY; 4]) -> [u8; CHALLENGE_LEN] {
    let mut hash = Sha512::new()
        .chain_update([SUITE, domain::CHALLENGE])
        .chain_update(public);
    for point in points {
        hash.update(point.as_bytes());
    }
    hash.update([domain::BACK]);
    truncate(hash)
}

/// The challenge as an integer below 2^128: little endian on this curve.
fn challenge_scalar(c: &[u8; CHALLENGE_LEN]) -> Scalar {
    Scalar::from(u128::from_le_bytes(*c))
}

/// `ECVRF_proof_to_hash` (RFC 9381, section 5.2) of the encoded `8 * Gamma`.
fn proof_to_hash(cofactor_gamma: &CompressedEdwardsY) -> [u8; NH] {
    truncate(
        Sha512::new()
            .chain_update([SUITE, domain::PROOF_TO_HASH])
            .chain_update(cofactor_gamma.as_bytes())
            .chain_update([domain::BACK]),
    )
}

/// The first `N` bytes of a SHA-512 hash.
fn truncate<const N: usize>(hash: Sha512) -> [u8; N] {
    const { assert!(N <= 64) };
    let wide: [u8; 64] = hash.finalize().into();
    let mut cut = [0; N];
    for (byte, wide) in cut.iter_mut().zip(wide) {
        *byte = wide;
    }
    cut
}

#[cfg(test)]
mod tests;
