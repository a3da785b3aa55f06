/// Hashes.
#[step]
pub(crate) fn digest(data: Vec<u8>, rounds: u32) -> Digest {
    hash(&data, rounds)
}
