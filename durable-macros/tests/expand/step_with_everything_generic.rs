#[step]
async fn gather<'a, T: Payload, const N: usize>(
    (left, right): (T, T),
    rest: &'a [T; N],
    keys: Vec<&str>,
    shown: &impl Display,
) -> Vec<T>
where
    T: Clone,
{
    todo!()
}
