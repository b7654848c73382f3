//! ECVRF-P256-SHA256-TAI (RFC 9381, section 5.5).
//!
//! Names follow the RFC: `B` the base point, `Y = x*B` the public key, `H` the input hashed
//! to the curve, `Gamma = x*H`, and `(c, s)` a proof that both multiplications used one `x`.
//! The group has prime order, so there is no cofactor to clear and no small-order point
//! besides the identity, which has no encoding of this length.

use p256::elliptic_curve::BatchNormalize;
use p256::elliptic_curve::Curve;
use p256::elliptic_curve::ff::PrimeField;
use p256::elliptic_curve::group::Group;
use p256::elliptic_curve::ops::{LinearCombination, MulByGeneratorVartime, Reduce};
use p256::elliptic_curve::point::DecompressPoint;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{AffinePoint, FieldBytes, NistP256, NonZeroScalar, ProjectivePoint, Scalar, U256};
use rfc6979::KGenerator;
use sha2::{Digest, Sha256};
use subtle::Choice;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::super::sha256;
use super::{CHALLENGE_LEN, KeyError, NH, VrfError, domain};

/// Bytes of a compressed point: `ptLen`.
const POINT_LEN: usize = 33;
/// Bytes of a proof: `Gamma || c || s`.
pub(crate) const PROOF_LEN: usize = 81;
/// `suite_string` of the RFC.
const SUITE: u8 = 0x01;
/// The SEC 1 tags of compressed points.
const EVEN_Y: u8 = 0x02;
const ODD_Y: u8 = 0x03;

#[derive(Clone)]
pub(super) struct SecretKey {
    x: NonZeroScalar,
    public: [u8; POINT_LEN],
}

#[allow(
    clippy::arithmetic_side_effects,
    reason = "operators on scalars and points are group operations: they neither overflow nor panic"
)]
impl SecretKey {
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let x: NonZeroScalar =
            Option::from(NonZeroScalar::from_repr((*bytes).into())).ok_or(KeyError::SecretRange)?;
        let y = ProjectivePoint::mul_by_generator(&x).to_affine();
        Ok(Self {
            x,
            public: encode_point(&y),
        })
    }

    pub(super) fn public_key(&self) -> &[u8; POINT_LEN] {
        &self.public
    }

    pub(super) fn output(&self, alpha: &[u8]) -> [u8; NH] {
        proof_to_hash(&encode_point(&self.gamma(alpha).to_affine()))
    }

    pub(super) fn outputs(&self, alphas: &[&[u8]]) -> Vec<[u8; NH]> {
        let points: Vec<_> = alphas.iter().map(|alpha| self.gamma(alpha)).collect();
        ProjectivePoint::batch_normalize(points.as_slice())
            .iter()
            .map(|gamma| proof_to_hash(&encode_point(gamma)))
            .collect()
    }

    pub(super) fn prove(&self, alpha: &[u8]) -> ([u8; NH], Vec<u8>) {
        let (h, h_string) = encode_to_curve(&self.public, alpha);
        let k = self.nonce(&h_string);
        let [gamma, u, v] = ProjectivePoint::batch_normalize(&[
            h * *self.x,
            ProjectivePoint::mul_by_generator(&k),
            h * *k,
        ]);
        let gamma_string = encode_point(&gamma);
        let c = challenge(&self.public, &h_string, &gamma_string, &u, &v);
        let s = *k + challenge_scalar(&c) * *self.x;

        let mut proof = Vec::with_capacity(PROOF_LEN);
        proof.extend_from_slice(&gamma_string);
        proof.extend_from_slice(&c);
        proof.extend_from_slice(&s.to_repr());
        (proof_to_hash(&gamma_string), proof)
    }

    fn gamma(&self, alpha: &[u8]) -> ProjectivePoint {
        encode_to_curve(&self.public, alpha).0 * *self.x
    }

    /// The nonce of RFC 9381, section 5.4.2.1: that of RFC 6979 for the message `h_string`.
    fn nonce(&self, h_string: &[u8; POINT_LEN]) -> Zeroizing<Scalar> {
        let x = Zeroizing::new(<[u8; 32]>::from(self.x.to_repr()));
        let message_hash = sha256(&[h_string]);
        let mut k = Zeroizing::new([0; 32]);
        KGenerator::<Sha256, U256>::new(x.as_slice(), &message_hash, &[], &NistP256::ORDER)
            .fill_next_k(k.as_mut_slice());
        // Already below the order: the reduction is only the conversion that cannot fail.
        Zeroizing::new(Scalar::reduce(&FieldBytes::from(*k)))
    }
}

impl ZeroizeOnDrop for SecretKey {}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.x.zeroize();
    }
}

/// A validated public key, with its negation at hand for verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    encoded: [u8; POINT_LEN],
    negated: ProjectivePoint,
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
        let (h, h_string) = encode_to_curve(&self.encoded, alpha);
        let c_scalar = challenge_scalar(&c);
        // Apart, the products of U beat a joint one: s*B comes from a table without
        // doublings, and c is half as long as s.
        let [u, v] = ProjectivePoint::batch_normalize(&[
            ProjectivePoint::mul_by_generator_vartime(&s) + self.negated.mul_vartime(&c_scalar),
            ProjectivePoint::lincomb_vartime(&[(h, s), (-gamma, c_scalar)]),
        ]);
        if challenge(&self.encoded, &h_string, &gamma_string, &u, &v) != c {
            return Err(VrfError::Rejected);
        }
        Ok(proof_to_hash(&gamma_string))
    }
}

/// A decoded proof (RFC 9381, section 5.4.4).
struct Proof {
    gamma_string: [u8; POINT_LEN],
    gamma: ProjectivePoint,
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
            gamma_string: *gamma,
            gamma: decode_point(gamma).ok_or(VrfError::PointEncoding)?,
            c: *c,
            s: Option::from(Scalar::from_repr(s.into())).ok_or(VrfError::ScalarRange)?,
        })
    }
}

/// `string_to_point`: a compressed point of SEC 1, section 2.3.4, and nothing else. A
/// general SEC 1 reader would also take the 33-byte "compact" form with tag 0x05.
fn decode_point(bytes: &[u8; POINT_LEN]) -> Option<ProjectivePoint> {
    let (tag, x) = bytes.split_first()?;
    let y_is_odd = match *tag {
        EVEN_Y => Choice::from(0),
        ODD_Y => Choice::from(1),
        _ => return None,
    };
    let x: [u8; 32] = x.try_into().ok()?;
    let point: Option<AffinePoint> = AffinePoint::decompress(&x.into(), y_is_odd).into();
    point.map(ProjectivePoint::from)
}

/// `point_to_string` of a point that is not the identity.
fn encode_point(point: &AffinePoint) -> [u8; POINT_LEN] {
    use p256::elliptic_curve::group::GroupEncoding;
    point.to_bytes().into()
}

/// `ECVRF_encode_to_curve_try_and_increment` (RFC 9381, section 5.4.1.1): the point and its
/// encoding, which falls out of the search.
fn encode_to_curve(public: &[u8; POINT_LEN], alpha: &[u8]) -> (ProjectivePoint, [u8; POINT_LEN]) {
    let prefix = Sha256::new()
        .chain_update([SUITE, domain::ENCODE_TO_CURVE])
        .chain_update(public)
        .chain_update(alpha);
    (0..=u8::MAX)
        .find_map(|counter| {
            let hash = prefix
                .clone()
                .chain_update([counter, domain::BACK])
                .finalize();
            let mut encoded = [EVEN_Y; POINT_LEN];
            for (byte, hash) in encoded.iter_mut().skip(1).zip(hash) {
                *byte = hash;
            }
            Some((decode_point(&encoded)?, encoded))
        })
        // All 256 tries miss with probability 2^-256, as often as a guessed key is right.
        .unwrap_or((ProjectivePoint::IDENTITY, [0; POINT_LEN]))
}

/// `ECVRF_challenge_generation` (RFC 9381, section 5.4.3).
///
/// A forger can make `U` or `V` the identity, whose encoding is the single byte zero.
fn challenge(
    public: &[u8; POINT_LEN],
    h_string: &[u8; POINT_LEN],
    gamma_string: &[u8; POINT_LEN],
    u: &AffinePoint,
    v: &AffinePoint,
) -> [u8; CHALLENGE_LEN] {
    let hash = sha256(&[
        &[SUITE, domain::CHALLENGE],
        public,
        h_string,
        gamma_string,
        u.to_sec1_point(true).as_bytes(),
        v.to_sec1_point(true).as_bytes(),
        &[domain::BACK],
    ]);
    let mut c = [0; CHALLENGE_LEN];
    for (byte, hash) in c.iter_mut().zip(hash) {
        *byte = hash;
    }
    c
}

/// The challenge as an integer below 2^128: big endian on this curve.
fn challenge_scalar(c: &[u8; CHALLENGE_LEN]) -> Scalar {
    Scalar::from(u128::from_be_bytes(*c))
}

/// `ECVRF_proof_to_hash` (RFC 9381, section 5.2).
fn proof_to_hash(gamma_string: &[u8; POINT_LEN]) -> [u8; NH] {
    sha256(&[
        &[SUITE, domain::PROOF_TO_HASH],
        gamma_string,
        &[domain::BACK],
    ])
}

#[cfg(test)]
mod tests;
