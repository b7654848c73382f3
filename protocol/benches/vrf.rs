//! What the VRF costs: an output, an output of a batch of 256, a proof, a verification.

use std::fmt;
use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use overt_protocol::suite::{CipherSuite, VrfPublicKey, VrfSecretKey};

const BATCH: usize = 256;
const SUITES: [Suite; 2] = [
    Suite(CipherSuite::Kt128Sha256Ed25519),
    Suite(CipherSuite::Kt128Sha256P256),
];

fn main() {
    divan::main();
}

#[divan::bench(args = SUITES, sample_count = 1000)]
fn output(bencher: Bencher, suite: Suite) {
    let key = suite.key();
    let inputs = inputs();
    let mut next = inputs.iter().cycle();
    bencher.bench_local(|| next.next().map(|alpha| key.output(alpha)));
}

/// The time is that of the batch; the item rate gives the price of one output.
#[divan::bench(args = SUITES, sample_count = 20)]
fn outputs_256(bencher: Bencher, suite: Suite) {
    let key = suite.key();
    let inputs = inputs();
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| key.outputs(black_box(&inputs)));
}

#[divan::bench(args = SUITES, sample_count = 1000)]
fn prove(bencher: Bencher, suite: Suite) {
    let key = suite.key();
    let inputs = inputs();
    let mut next = inputs.iter().cycle();
    bencher.bench_local(|| next.next().map(|alpha| key.prove(alpha)));
}

#[divan::bench(args = SUITES, sample_count = 1000)]
fn verify(bencher: Bencher, suite: Suite) {
    let key = suite.key();
    let public = VrfPublicKey::from_bytes(suite.0, &key.public_key()).expect("own key");
    let proofs: Vec<_> = inputs()
        .into_iter()
        .map(|alpha| {
            let proof = key.prove(&alpha).1;
            (alpha, proof)
        })
        .collect();
    let mut next = proofs.iter().cycle();
    bencher.bench_local(|| {
        next.next()
            .map(|(alpha, proof)| public.verify(alpha, proof))
    });
}

#[derive(Clone, Copy)]
struct Suite(CipherSuite);

impl Suite {
    fn key(self) -> VrfSecretKey {
        VrfSecretKey::from_bytes(self.0, &[0x22; 32]).expect("valid in both suites")
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.name())
    }
}

/// Many inputs, because the number of tries per input varies.
fn inputs() -> Vec<Vec<u8>> {
    (0..BATCH)
        .map(|number| format!("someone-{number}@example.org").into_bytes())
        .collect()
}
